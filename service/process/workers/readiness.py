"""Whether a server of several workers should get requests, and how its workers hear of a crash loop."""

import time
from collections.abc import Iterable, Sequence

from service.process.workers.slot import Slot

# The first failure is followed by a start at once; from the third on the server is not ready.
_LOOP_FAILURES = 3


def unready_reason(slots: Sequence[Slot]) -> str:
    """Why the server should get no requests; "" if it should."""
    if loop := _crash_loop(slots):
        return loop
    taking = [slot for slot in slots if slot.listening is not None]
    for slot in taking or slots:
        if slot.reason:
            return slot.reason
    return "" if taking else "no worker takes calls"


def tell_crash_loop(slots: Sequence[Slot]) -> None:
    """Tell all workers when a crash loop begins and when it ends. Their gRPC health checks answer for the server."""
    loop = bool(_crash_loop(slots))
    for slot in slots:
        if slot.process is not None and slot.told_crash_loop != loop:
            slot.process.tell(**{"crash loop": loop})
            slot.told_crash_loop = loop


def _crash_loop(slots: Iterable[Slot]) -> str:
    """Which worker ends soon after its start, again and again; "" if none does."""
    for slot in slots:
        if slot.failures >= _LOOP_FAILURES:
            seconds = max(0.0, slot.next_at - time.monotonic())
            again = f"it is started again in {seconds:.0f} s" if seconds else "it was started again"
            return f"worker {slot.number} ended {slot.failures} times soon after its start; {again}"
    return ""

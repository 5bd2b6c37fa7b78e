"""Workers hear of a crash loop. What their health checks then answer is tested in tests/faults/test_workers.py."""

from functools import partial
from types import SimpleNamespace
from typing import Any

from service.process.workers.readiness import tell_crash_loop, unready_reason
from service.process.workers.slot import Slot


def test_each_process_is_told_of_a_crash_loop_once_and_of_its_end() -> None:
    """The loop begins with the third failure. The next process of the worker that failed is told of it too."""
    said: list[tuple[int, Any]] = []

    def say(number: int, **message: Any) -> None:
        said.append((number, message))

    def process(number: int) -> Any:
        return SimpleNamespace(tell=partial(say, number))

    slots = [Slot(number, process(number), "", ["affine/1"]) for number in range(2)]
    slots[0].failures = 2
    tell_crash_loop(slots)
    assert (said, unready_reason(slots)) == ([], "")
    slots[0].failures, slots[0].process = 3, None
    tell_crash_loop(slots)
    tell_crash_loop(slots)
    assert said == [(1, {"crash loop": True})]
    assert unready_reason(slots) == "worker 0 ended 3 times soon after its start; it was started again"
    slots[0].process = process(0)
    tell_crash_loop(slots)
    assert said[1:] == [(0, {"crash loop": True})]
    slots[0].failures = 0
    tell_crash_loop(slots)
    assert said[2:] == [(0, {"crash loop": False}), (1, {"crash loop": False})]
    assert unready_reason(slots) == ""

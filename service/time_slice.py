"""How long a thread may keep a core, or Python's interpreter, while another thread waits for it."""

import ctypes
import os
import platform
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Final

# How long a thread computes in Python before another one gets its turn, in `brief_turns`. The usual time is 5 ms.
# A call takes several turns of the event loop, and each of them may wait that long.
# Short turns hold while the work only waits, for example for a mount that hangs. That costs a hot server nothing that
# can be measured: processor time a call times 1.00 +- 0.02 in four runs of 180 to 300 pairs of 0.25 s (32 callers, both
# front ends, two busy cores), with at most 0.07 more context switches a call.
_TURN_SECONDS = 1e-4
_usual_turn_seconds = sys.getswitchinterval()
_at_work = 0
_changing_turns = threading.Lock()

_BRIEF_NANOSECONDS: Final = 100_000
# Numbers of the system call, which C libraries have no function for (man 2 sched_setattr).
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}
# Threads that this one starts, such as those of an onnxruntime session, have the usual time slice.
_RESET_ON_FORK: Final = 0x01
# struct sched_attr: its size, policy, flags, nice value, priority, runtime, deadline and period.
_ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")


@contextmanager
def brief_turns() -> Iterator[None]:
    """Have threads take turns in Python more often until the block ends, and until all other such blocks have ended."""
    global _at_work, _usual_turn_seconds
    with _changing_turns:
        if not _at_work:
            _usual_turn_seconds = sys.getswitchinterval()
            sys.setswitchinterval(min(_TURN_SECONDS, _usual_turn_seconds))
        _at_work += 1
    try:
        time.sleep(0)  # a thread that waits for its turn already would wait for the usual time, 5 ms
        yield
    finally:
        with _changing_turns:
            _at_work -= 1
            if not _at_work:
                sys.setswitchinterval(_usual_turn_seconds)


def take_brief_slices() -> None:
    """Let the event loop have this thread's core soon after it wakes, while this thread computes.

    Otherwise a thread that wakes may have to wait for the end of the time slice of the one that runs: 1.4 ms on two
    cores, 2.8 ms on eight and more. This thread gets as much of a core as before, in shorter pieces. Linux 6.12 and
    later know time slices of threads. Older systems ignore them, and a system that forbids the call changes nothing.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return
    # musl's C library refuses the question, and a Python that was built without these functions lacks them.
    with suppress(AttributeError, OSError):
        policy, nice = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
        if policy not in (os.SCHED_OTHER, os.SCHED_BATCH):
            return
        attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, policy, _RESET_ON_FORK, nice, 0, _BRIEF_NANOSECONDS, 0, 0)
        # Whether it succeeds does not matter: without it calls wait longer, and are no less right. PyDLL keeps the
        # interpreter meanwhile: another thread would take longer than the call.
        _c_library().syscall(number, 0, attributes, 0)


@cache
def _c_library() -> ctypes.PyDLL:
    return ctypes.PyDLL(None)

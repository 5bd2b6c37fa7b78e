"""Time slices of threads, and their turns in Python."""

import ctypes
import os
import platform
import re
import struct
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from service import time_slice
from service.time_slice import take_brief_slices

_SCHED_GETATTR = {"x86_64": 315, "aarch64": 275}
_KERNEL = tuple(map(int, re.findall(r"\d+", platform.release())[:2])) if sys.platform == "linux" else (0, 0)


def _scheduling() -> tuple[int, int, int]:
    """Policy, nice value and time slice in nanoseconds of this thread, as the system tells them."""
    attributes = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(_SCHED_GETATTR[platform.machine()], 0, attributes, 48, 0) == 0
    _, policy, _, nice, _, slice_nanoseconds, _, _ = struct.unpack("=IIQiIQQQ", attributes.raw)
    return policy, nice, slice_nanoseconds


def _in_a_thread(work: Callable[[], object]) -> None:
    """Run a function in a thread of its own, which then ends."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.mark.skipif(
    _KERNEL < (6, 12) or platform.machine() not in _SCHED_GETATTR, reason="only Linux 6.12 and later has time slices"
)
def test_only_the_thread_itself_gets_brief_slices() -> None:
    """Its policy and nice value stay. The threads that it starts, and those that are there, have the usual slice."""
    found = {"before": _scheduling()}

    def work() -> None:
        os.nice(1)
        take_brief_slices()
        found["itself"] = _scheduling()
        _in_a_thread(lambda: found.update(started=_scheduling()))

    _in_a_thread(work)
    policy, nice, usual = found["before"]
    assert found["itself"] == (policy, min(nice + 1, 19), 100_000)
    assert found["started"][2] == usual > 100_000
    assert _scheduling() == found["before"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked for the scheduler of a thread")
def test_a_system_that_refuses_leaves_the_thread_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """No error comes from a machine whose system calls are not known, or where the scheduler cannot be asked.

    An error would leave the load in this thread without an end.
    """
    found = []

    def work() -> None:
        before = os.sched_getscheduler(0)
        with monkeypatch.context() as patched:
            patched.setattr(platform, "machine", lambda: "riscv64")
            take_brief_slices()
        with monkeypatch.context() as patched:
            patched.setattr(os, "sched_getscheduler", _refuses)
            take_brief_slices()
        with monkeypatch.context() as patched:
            patched.delattr(os, "sched_getscheduler")
            take_brief_slices()
        with monkeypatch.context() as patched:
            patched.setattr(time_slice, "_c_library", lambda: _refuses(0))
            take_brief_slices()
        found.append(os.sched_getscheduler(0) == before)

    _in_a_thread(work)
    assert found == [True]


def _refuses(_pid: int) -> int:
    raise OSError


# In a process of its own, whose threads never take turns by themselves.
_WAITS_ALREADY = """
import sys, threading, time
from service.time_slice import brief_turns

sys.setswitchinterval(1000)
has_turn = False

def compute():
    global in_time
    end = time.monotonic() + 20
    with brief_turns():
        while not has_turn and time.monotonic() < end:
            pass
    in_time = has_turn

thread = threading.Thread(target=compute)
thread.start()
has_turn = True
thread.join()
assert in_time
"""


def test_brief_turns_hold_for_a_thread_that_waits_already() -> None:
    """The thread that starts another one goes on while that computes, though it began to wait before."""
    subprocess.run([sys.executable, "-c", _WAITS_ALREADY], check=True, timeout=120)

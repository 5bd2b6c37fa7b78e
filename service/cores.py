"""The cores that this process may use: those of its container, and of these one alone for each of several workers.

Also how its threads share a core: `threads_that_wait`, `use_all_cores`, `brief_turns`.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_log = logging.getLogger(__name__)

_CONTROL_GROUPS = Path("/sys/fs/cgroup")
# Inherited by the Envoy of a worker. Absent if a worker may run on any core.
_ALL_CORES = "KAN_SERVE_WORKER_CORES"

# How long a thread computes in Python before another one gets its turn, in `brief_turns`. The usual time is 5 ms.
# A call takes several turns of the event loop, and each of them may wait that long.
# Short turns hold while the work only waits, for example for a mount that hangs. That costs a hot server nothing that
# can be measured: processor time a call times 1.00 +- 0.02 in four runs of 180 to 300 pairs of 0.25 s (32 callers, both
# front ends, two busy cores), with at most 0.07 more context switches a call.
_TURN_SECONDS = 1e-4
_usual_turn_seconds = sys.getswitchinterval()
_at_work = 0
_changing_turns = threading.Lock()


def container_cores(root: Path = _CONTROL_GROUPS) -> int:
    """The whole cores that the container's CPU limit and the CPU affinity leave to this process, at least 1.

    A limit of 1.5 cores gives 1: with a second busy thread the system would stop both for a part of each period.

    Args:
        root: Where control groups are mounted; a container sees its own there.
    """
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        allowed = os.cpu_count() or 1
    limits = [_limit_of(root / "cpu.max"), _limit_of(root / "cpu/cpu.cfs_quota_us", root / "cpu/cpu.cfs_period_us")]
    return max(1, int(min([allowed, *(limit for limit in limits if limit is not None)])))


def cores_of_workers(workers: int, root: Path = _CONTROL_GROUPS) -> list[int]:
    """The core of each worker, by its number; empty if each should run on any core.

    A worker that other programs drive from one core to another loses each time what the caches held of it: 5 to 7 % of
    the processor time of a request. But several servers on one machine would all take its first cores. So workers are
    bound only if they are as many as the cores on which this process may run, and no limit takes a part of these.

    Args:
        workers: How many there are.
        root: Where control groups are mounted.
    """
    if workers == 1:
        return []
    allowed = sorted(os.sched_getaffinity(0))
    return allowed if workers == len(allowed) == container_cores(root) else []


def bind_worker(number: int, cores: Sequence[int]) -> None:
    """Let this process, and what it starts from now on, run only on its own core, if it has one.

    If the system forbids it, the worker runs on any core, and a warning says so.

    Args:
        number: Of the worker, from 0.
        cores: The core of each worker; empty if none has its own.
    """
    if cores:
        try:
            os.sched_setaffinity(0, {cores[number]})
        except OSError as error:
            _log.warning("this worker runs on any core, not on core %d alone: %s", cores[number], error)
        else:
            os.environ[_ALL_CORES] = ",".join(map(str, cores))


def forget_cores() -> None:
    """Forget cores that a variable from outside names. A server calls it once, before it starts workers."""
    os.environ.pop(_ALL_CORES, None)


def is_bound() -> bool:
    """Whether this process is bound to the core of one worker."""
    return _ALL_CORES in os.environ


@contextmanager
def threads_that_wait() -> Iterator[None]:
    """If this worker is bound, threads that start meanwhile do not interrupt others when they wake.

    Such a thread (SCHED_BATCH) waits until the thread that runs sleeps, or until its time slice is over. gRPC's thread
    wakes eight times a request. On the only core of a worker it would interrupt the event loop each time, which costs a
    tenth of the processor time of a request.
    """
    waits = False
    # If the system forbids a call (musl's C library has none of them), the server is slower, and no less right.
    with suppress(OSError):
        if is_bound() and os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            waits = True
    try:
        yield
    finally:
        if waits:
            with suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def use_all_cores() -> None:
    """Let this thread run on the cores of all workers, if this worker is bound to one.

    For threads that work for long, such as runs of slow models and loads: on the core of the event loop they would hold
    it up while another core has nothing to do.
    """
    if cores := os.environ.get(_ALL_CORES):
        with suppress(OSError):  # the container may use none of them any more
            os.sched_setaffinity(0, set(map(int, cores.split(","))))


@contextmanager
def brief_turns() -> Iterator[None]:
    """Have threads take turns more often until the block ends, and until all other such blocks have ended."""
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


def _limit_of(*files: Path) -> float | None:
    """Cores by a quota and a period in microseconds, one after another in the files; None if there is no limit."""
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such control group; version 2 says "max" for no limit
        return None
    return cores if cores > 0 else None  # version 1 says -1 for no limit

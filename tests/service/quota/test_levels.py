"""Levels of buckets that processes share: nothing is counted twice or lost, and no process holds others up."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from service.quota.bucket import TokenBucket
from service.quota.levels import Levels
from tests.kit.clock import Clock

_TAKER = """
import sys
from service.quota.bucket import TokenBucket
from service.quota.levels import Levels
levels = Levels(int(sys.argv[1]))
buckets = [TokenBucket(10_000, lambda: 0.0, levels.of(f"{name}")) for name in range(50)]
print("ready", flush=True)
input()
print(sum(bucket.take(1) == 0 for _ in range(300) for bucket in buckets))
"""

_HOLDER = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX, 0, 0)
print("holds", flush=True)
input()
"""


@contextmanager
def _process(program: str, levels: Levels) -> Iterator["subprocess.Popen[str]"]:
    """A process that has the levels and has said its first word."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(levels.descriptor)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[levels.descriptor],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().split()
            yield process
        finally:
            process.kill()


def test_processes_that_take_at_once_take_what_there_is() -> None:
    """Three processes find the same 50 names, and of 45,000 rows that all can give each is counted."""
    with closing(Levels()) as levels:
        with _process(_TAKER, levels) as one, _process(_TAKER, levels) as two, _process(_TAKER, levels) as three:
            answers = [process.communicate("\n")[0] for process in (one, two, three)]
        assert [int(answer) for answer in answers] == [15_000] * 3
        assert {levels.of(f"{name}").read() for name in range(50)} == {(10_000 - 900, 0.0)}


@pytest.mark.parametrize("is_stopped", [True, False])
def test_a_process_with_all_locks_holds_nobody_up(*, is_stopped: bool) -> None:
    """While it is stopped, others count without a lock; once it is killed, the locks are free."""
    clock = Clock()
    with closing(Levels()) as levels, _process(_HOLDER, levels) as holder:
        if is_stopped:
            os.kill(holder.pid, signal.SIGSTOP)
        else:
            holder.kill()
            holder.wait(60)
        known = TokenBucket(10, clock, levels.of("known"))
        assert [known.take(6), known.take(6)] == [0, pytest.approx(0.2)]
        assert TokenBucket(10, clock, levels.of("known")).take(4) == 0
        if not is_stopped:
            fcntl.lockf(levels.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 0, 0)


def test_a_record_that_is_half_written_is_written_again() -> None:
    """A process was killed while it added a name."""
    with closing(Levels()) as levels:
        os.pwrite(levels.descriptor, b"half", 0)
        TokenBucket(10, Clock(), levels.of("one")).take(10)
        assert TokenBucket(10, Clock(), Levels(levels.descriptor).of("one")).take(1) == pytest.approx(0.1)

"""The cores of the container."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.cores import container_cores, cores_of_workers, threads_that_wait

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("100000 100000", 1),
        ("150000 100000", 1),
        ("20000 100000", 1),
        ("100000000 100000", ALLOWED),
        ("max 100000", ALLOWED),
        ("", ALLOWED),
        ("100000 0", ALLOWED),
    ],
)
def test_whole_cores_of_a_limit_of_version_2(tmp_path: Path, content: str, cores: int) -> None:
    """Parts of a core do not count, one core is the least, and the affinity bounds a larger limit."""
    (tmp_path / "cpu.max").write_text(content + "\n")
    assert container_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("-1", ALLOWED)])
def test_whole_cores_of_a_limit_of_version_1(tmp_path: Path, quota: str, cores: int) -> None:
    """Version 1 has the quota and the period in files of their own; -1 is no limit."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000")
    assert container_cores(tmp_path) == cores


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    """A machine without control groups gives the cores that the process may run on."""
    assert container_cores(tmp_path) == ALLOWED


def test_workers_as_many_as_the_cores_have_one_each(tmp_path: Path) -> None:
    """One worker has all cores; so have more or fewer workers than there are cores."""
    cores = sorted(os.sched_getaffinity(0))
    assert cores_of_workers(ALLOWED, tmp_path) == (cores if ALLOWED > 1 else [])
    assert cores_of_workers(1, tmp_path) == []
    assert cores_of_workers(ALLOWED + 1, tmp_path) == []


def test_a_limit_below_the_cores_binds_no_worker(tmp_path: Path) -> None:
    """Servers with a part of a machine would all take its first cores."""
    (tmp_path / "cpu.max").write_text(f"{ALLOWED * 100000 - 1} 100000\n")
    assert cores_of_workers(ALLOWED, tmp_path) == []


def test_threads_for_long_work_leave_the_core() -> None:
    """What a bound process starts runs on its core, but for the threads that ask for all."""
    program = (
        "import os; from concurrent.futures import ThreadPoolExecutor as Pool\n"
        "from service.cores import bind_worker, cores_of_workers, use_all_cores\n"
        "before = os.sched_getaffinity(0)\n"
        "cores = cores_of_workers(len(before))\n"
        "own = {cores[-1]} if cores else before\n"
        "bind_worker(len(before) - 1, cores)\n"
        "assert os.sched_getaffinity(0) == own\n"
        "ask = lambda: os.sched_getaffinity(0)\n"
        "assert Pool(1).submit(ask).result() == own\n"
        "assert Pool(1, initializer=use_all_cores).submit(ask).result() == before\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.skipif(os.sched_getscheduler(0) != os.SCHED_OTHER, reason="the tests run under a policy from outside")
@pytest.mark.parametrize("bound", [True, False])
def test_threads_that_wait_are_those_that_a_bound_process_starts_meanwhile(*, bound: bool) -> None:
    """The thread that starts them, and those that it starts later, interrupt others as before."""
    cores = sorted(os.sched_getaffinity(0))[:1] if bound else []
    program = (
        "import os; from concurrent.futures import ThreadPoolExecutor as Pool\n"
        "from service.cores import bind_worker, is_bound, threads_that_wait\n"
        f"bind_worker(0, {cores})\n"
        f"assert is_bound() == {bound}\n"
        "ask = lambda: os.sched_getscheduler(0)\n"
        "with threads_that_wait():\n"
        "    meanwhile = Pool(1).submit(ask).result()\n"
        f"assert meanwhile == {'os.SCHED_BATCH' if bound else 'os.SCHED_OTHER'}, meanwhile\n"
        "assert ask() == Pool(1).submit(ask).result() == os.SCHED_OTHER\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_policy_that_was_chosen_from_outside_stays() -> None:
    """Threads of a server that was started under SCHED_IDLE inherit it."""
    program = (
        "import os\n"
        "from service.cores import bind_worker, threads_that_wait\n"
        "bind_worker(0, sorted(os.sched_getaffinity(0))[:1])\n"
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
        "with threads_that_wait():\n"
        "    assert os.sched_getscheduler(0) == os.SCHED_IDLE\n"
        "assert os.sched_getscheduler(0) == os.SCHED_IDLE\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("forbidden", ["sched_getscheduler", "sched_setscheduler"])
def test_a_system_that_forbids_policies_stops_no_server(monkeypatch: pytest.MonkeyPatch, forbidden: str) -> None:
    """Alpine's C library knows neither call, and a container may forbid one: threads then start as they always do."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    before = os.sched_getscheduler(0)
    monkeypatch.setenv("KAN_SERVE_WORKER_CORES", "0")
    monkeypatch.setattr(os, forbidden, refuse)
    with threads_that_wait():
        monkeypatch.undo()
        assert os.sched_getscheduler(0) == before


# In a process of its own, whose threads never take turns by themselves.
_WAITS_ALREADY = """
import sys, threading, time
from service.cores import brief_turns

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

"""The cores of the container."""

import os
from pathlib import Path

import pytest

from service.rpc.cores import container_cores, with_worker_count, worker_count
from service.settings import Settings

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


def test_auto_is_a_worker_for_each_core() -> None:
    """A number stays as it is."""
    assert worker_count(Settings(workers="auto")) == container_cores()
    assert worker_count(Settings(workers=3)) == 3
    assert with_worker_count(Settings(workers="auto")) == Settings(workers=container_cores())

"""How many cores this process may use: those of its container, not those of the machine."""

import os
from pathlib import Path

from service.settings import Settings


def container_cores(root: Path = Path("/sys/fs/cgroup")) -> int:
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


def worker_count(settings: Settings) -> int:
    """The number of worker processes."""
    return container_cores() if settings.workers == "auto" else settings.workers


def with_worker_count(settings: Settings) -> Settings:
    """The same settings with a number in the place of "auto"."""
    return settings.model_copy(update={"workers": worker_count(settings)})


def _limit_of(*files: Path) -> float | None:
    """Cores by a quota and a period in microseconds, one after another in the files; None if there is no limit."""
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        cores = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such control group; version 2 says "max" for no limit
        return None
    return cores if cores > 0 else None  # version 1 says -1 for no limit

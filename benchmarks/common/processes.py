"""Processor time and memory of a server's tree of processes, and stolen time of the machine, from Linux's /proc."""

import os
import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """The pids of the process and of all its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children[int(fields[1])].append(int(entry.name))
    found = [pid]
    for one in found:
        found += children[one]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Processor time so far of all threads of these processes; a process that has ended counts 0."""
    return sum(int(f[11]) + int(f[12]) for pid in pids if (f := _stat(pid)) is not None) / _TICKS


def run_seconds(pids: list[int]) -> float:
    """The same of their living threads by the scheduler's clock, in nanoseconds instead of ticks."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                total += int((thread / "schedstat").read_text("ascii").split()[0])
    return total / 1e9


def stolen_seconds() -> float:
    """Stolen time so far over all processors: this machine was ready to run, and its host ran other machines."""
    fields = Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()
    return int(fields[8]) / _TICKS


def memory_mb(pid: int, kind: str = "Rss") -> float:
    """Memory of the tree in MB. "Rss" counts shared pages in each process, "Pss" counts them once."""
    total_kb = 0
    for one in tree(pid):
        found = re.search(rf"^{kind}:\s+(\d+) kB$", Path(f"/proc/{one}/smaps_rollup").read_text("ascii"), re.MULTILINE)
        assert found, f"no {kind} in /proc/{one}/smaps_rollup"
        total_kb += int(found[1])
    return total_kb * 1024 / 1e6


def peak_growth_mb(call: Callable[[], object]) -> float:
    """How far the peak of this process's memory is above the memory before the call, in MB."""
    # Writing 5 resets the peak to the memory that is resident now.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _own_kb("VmRSS")
    call()
    return (_own_kb("VmHWM") - before) * 1024 / 1e6


def _own_kb(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, f"no {field} in /proc/self/status"
    return int(found[1])


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name, the state first; None if the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None

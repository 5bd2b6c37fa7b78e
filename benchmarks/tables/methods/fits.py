"""Start the processes that fit, and end them: by their cap, or all when the run is stopped."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.tables.cells import Status
from benchmarks.tables.methods.process import Job

ROOT = Path(__file__).parents[3]
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Stopped(Exception):
    """The run was stopped, so a fit that ended says nothing."""


class Running:
    """The processes that fit now, each the first of its own group."""

    def __init__(self) -> None:
        self._pids: set[int] = set()
        self._is_stopped = False
        self._lock = threading.Lock()

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> "subprocess.Popen[str]":
        """Start one; refused after a stop."""
        with self._lock:
            if self._is_stopped:
                raise Stopped
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            self._pids.add(process.pid)
            return process

    def end(self, process: "subprocess.Popen[str]") -> None:
        """End it and its whole group."""
        with self._lock:
            self._pids.discard(process.pid)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if self._is_stopped:
                raise Stopped

    def stop(self) -> None:
        """End all, and let none start."""
        with self._lock:
            self._is_stopped = True
            for pid in self._pids:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)


def run_process(job: Job, seconds: float, running: Running) -> tuple[Status, str]:
    """Run one job in its own process group. After so many seconds by the clock it hangs, and the group is ended.

    Returns:
        Whether it is done, was cut off or failed; what it printed, or the end of its error.

    Raises:
        Stopped: the run was stopped meanwhile.
    """
    environment = {**os.environ, **_ONE_THREAD, "ORT_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(asdict(job)), encoding="utf-8")
        process = running.start([sys.executable, "-m", "benchmarks.tables.methods.process", str(path)], environment)
        with process:
            try:
                out, error = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                return "failed", f"it did not end within {seconds:g} s"
            finally:
                running.end(process)
    if process.returncode == -signal.SIGXCPU:
        return "capped", ""
    return ("done", out) if process.returncode == 0 else ("failed", error[-1000:])

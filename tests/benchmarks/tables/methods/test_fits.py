"""Processes that fit are ended: by the processor time of the fit, by the clock, and when the run is stopped."""

import os
import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks.tables.methods.fits import Running, Stopped, run_process
from benchmarks.tables.methods.process import Job
from benchmarks.tables.splits import Split

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


def _job(split: Split, method: str, cap_seconds: int) -> Job:
    return Job(
        method=method,
        model="small",
        train=str(split.train),
        test=str(split.test),
        target="target",
        is_classification=False,
        keep="",
        cap_seconds=cap_seconds,
    )


@pytest.mark.slow
def test_fit_ends_with_its_processor_seconds(split: Split) -> None:
    """An MLP that needs many more seconds is cut off after one or two; with enough of them it is done."""
    assert run_process(_job(split, "MLP", 300), 300, Running())[0] == "done"
    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.random((50_000, 20))).assign(target=random.random(50_000))
    rows.to_csv(split.train, index=False)
    rows[:10].to_csv(split.test, index=False)
    assert run_process(_job(split, "MLP", 0), 300, Running()) == ("capped", "")


def test_a_process_that_hangs_fails(split: Split) -> None:
    """It uses no processor time, so it was not cut off: the next run tries it again."""
    status, why = run_process(_job(split, "MLP", 300), 0.1, Running())
    assert status == "failed"
    assert "0.1 s" in why


def test_a_stop_ends_what_runs_and_lets_nothing_start() -> None:
    """What a fit left unfinished is not taken for a result."""
    running = Running()
    process = running.start(SLEEP, os.environ)
    running.stop()
    with pytest.raises(Stopped):
        running.end(process)
    with process:
        assert process.wait(30) < 0
    with pytest.raises(Stopped):
        running.start(SLEEP, os.environ)


def test_a_fit_ends_with_its_children() -> None:
    """The server that ours starts is in the same group."""
    program = (
        f"import subprocess; subprocess.Popen({SLEEP!r}); print('started', flush=True); import time; time.sleep(600)"
    )
    running = Running()
    with running.start([sys.executable, "-c", program], os.environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        running.end(process)
        # Its output ends only when no process of the group holds it any more.
        assert process.stdout.read() == ""
        assert process.wait(30) < 0

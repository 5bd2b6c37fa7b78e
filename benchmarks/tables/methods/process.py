"""One fit in a process of its own: ``python -m benchmarks.tables.methods.process JOB.json`` prints what it found.

Of its own, so that its processor time is counted whole, and so that it can be killed: a peer's fit ends the process
when it has used its seconds.
"""

import contextlib
import importlib
import json
import resource
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.tables.methods import ours
from benchmarks.tables.methods.metrics import Floats, score_classes, score_numbers
from benchmarks.tables.methods.peers import PEERS, Problem
from benchmarks.tables.splits import read


@dataclass(frozen=True)
class Job:
    """What one process fits.

    Attributes:
        method: "ours" or a peer's name.
        model: The table's name.
        train: CSV file of the rows to train on.
        test: CSV file of the rows to test on.
        target: The column to predict.
        is_classification: Whether it holds classes.
        keep: Folder for what is measured later.
        cap_seconds: The most processor seconds of a peer's fit.
    """

    method: str
    model: str
    train: str
    test: str
    target: str
    is_classification: bool
    keep: str
    cap_seconds: int


@dataclass(frozen=True)
class Outcome:
    """What was found.

    Attributes:
        scores: The numbers of benchmarks.tables.methods.metrics.
        fit_cpu_seconds: Processor time of the fit; for ours, of kan-train init and run as wholes.
        unanswered_rows: Test rows without an answer; they are scored with the trivial answer.
        is_file_refused: Whether kan-client refused the file as a whole.
    """

    scores: dict[str, float]
    fit_cpu_seconds: float
    unanswered_rows: int = 0
    is_file_refused: bool = False


def run(job: Job) -> Outcome:
    """Fit, ask for the test rows' answers, and score them."""
    train, test = read(Path(job.train)), read(Path(job.test))
    names: list[str] | None = None
    known, truth = train[job.target].to_numpy(), test[job.target].to_numpy()
    if job.is_classification:
        classes = np.unique(known)
        names = [str(each) for each in classes]
        known, truth = np.searchsorted(classes, known), np.searchsorted(classes, truth)
    if job.method in PEERS:
        importlib.import_module(PEERS[job.method].module)
    before = _cpu_seconds()
    if job.method == ours.NAME:
        keep = Path(job.keep)
        ours.train(Path(job.train), job.target, keep)
        seconds = _cpu_seconds() - before
        answers, is_refused = ours.ask(keep, job.model, Path(job.test), names)
        ours.tidy(keep)
    else:
        problem = Problem(train.drop(columns=job.target), known, len(names or ()), Path(job.keep))
        _limit_seconds(job.cap_seconds)
        answer = PEERS[job.method].fit(problem)
        seconds = _cpu_seconds() - before
        _limit_seconds(None)
        answers, is_refused = answer(test.drop(columns=job.target)), False
    answers = answers.reshape(len(test), -1)
    gaps = np.isnan(answers).any(axis=1)
    answers[gaps] = _trivial(known, len(names or ()))
    scores = score_classes(answers, truth, known) if names else score_numbers(answers[:, 0], truth, known)
    return Outcome(scores, round(seconds, 3), int(gaps.sum()), is_refused)


def _trivial(known: NDArray[np.generic], classes: int) -> Floats:
    if classes:
        return np.asarray(np.bincount(known, minlength=classes) / len(known))
    return np.array([known.mean()])


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _limit_seconds(seconds: int | None) -> None:
    """Let the system kill this process (SIGXCPU) when it has used so many more seconds of processor time."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = resource.RLIM_INFINITY if seconds is None else int(_cpu_seconds()) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    pd.set_option("future.no_silent_downcasting", True)
    with contextlib.redirect_stdout(sys.stderr):
        found = run(Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    print(json.dumps(asdict(found)))

"""Ours, without an edit: ``kan-train init`` and ``run``, and ``kan-client predict`` against a real ``kan-serve``."""

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.tables.methods.metrics import Floats

NAME = "ours"
_SCRIPTS = Path(sys.executable).parent
CLIENT = (str(_SCRIPTS / "kan-client"),)
_SERVER_STARTS_SECONDS, _CLIENT_SECONDS = 60, 60
# Exit codes of kan-client: 2 refuses the file, 3 answers all rows but some.
_REFUSED, SOME_UNANSWERED = 2, 3
# Each call starts a process. Rows that are not found within so many calls count as unanswered.
_MOST_CALLS = 200


class CommandError(Exception):
    """One of the commands failed; the message holds the end of what it printed."""


def train(table: Path, target: str, folder: Path, more: str = "") -> None:
    """Draft a recipe for a CSV file and run it; the model goes to FOLDER/models, the messages to FOLDER/run.log.

    Args:
        table: The CSV file.
        target: The column to predict.
        folder: Is emptied.
        more: Further sections of the recipe.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy = Path(shutil.copy(table, folder))
    with open(folder / "run.log", "w", encoding="utf-8") as log:
        for words in (["init", copy.name, "--target", target], ["run", copy.with_suffix(".toml").name]):
            done = subprocess.run([_SCRIPTS / "kan-train", *words], cwd=folder, stdout=log, stderr=log, check=False)
            if done.returncode != 0:
                raise CommandError(f"kan-train {words[0]} ended with {done.returncode}: {_end_of(folder / 'run.log')}")
            if words[0] == "init" and more:
                recipe = copy.with_suffix(".toml")
                recipe.write_text(recipe.read_text(encoding="utf-8") + more, encoding="utf-8")
    copy.unlink()


def ask(folder: Path, model: str, test: Path, classes: Sequence[str] | None) -> tuple[Floats, bool]:
    """Ask a server for the answers to every row of a CSV file.

    Args:
        folder: What `train` wrote.
        model: The model's name.
        test: A CSV file with a header.
        classes: The classes in the order of the answer's columns; None for a regression.

    Returns:
        One number, or the probability of each class, a row; NaN where a row is not answered. Then whether the client
        refused the whole file; its rows are then asked for in halves, so that only the refused ones stay unanswered.
    """
    with open(test, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    with serving(folder) as address:
        asking = _Asking([*CLIENT, "predict", model, "--address", address], head, classes)
        answers = asking.answers(rows)
    return answers, asking.refused_file


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server of FOLDER/models, which ends with the `with` block."""
    command = [str(_SCRIPTS / "kan-serve"), "--models", str(folder / "models"), "--grpc-port", "0", "--http-port", "0"]
    with (
        open(folder / "serve.log", "w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdout is not None
        try:
            # It prints this line when it is ready, and ends without it when it cannot be.
            found = re.search(r"grpc=(\S+)", server.stdout.readline())
            if found is None:
                raise CommandError(f"kan-serve did not start: {_end_of(folder / 'serve.log')}")
            yield found[1]
        finally:
            server.terminate()


class _Asking:
    """Calls of kan-client for the rows of one file, and how many are left."""

    def __init__(self, command: list[str], head: list[str], classes: Sequence[str] | None) -> None:
        self._command, self._head, self._classes = command, head, classes
        self._calls = 0
        self.refused_file = False

    def answers(self, rows: list[list[str]]) -> Floats:
        """The answers to some of the rows; a part that is refused is asked for in halves."""
        answered = self._call(rows) if self._calls < _MOST_CALLS else None
        if answered is not None:
            return answered
        self.refused_file = True
        if len(rows) == 1 or self._calls >= _MOST_CALLS:
            return np.full((len(rows), len(self._classes or [""])), np.nan)
        middle = len(rows) // 2
        return np.concatenate([self.answers(rows[:middle]), self.answers(rows[middle:])])

    def _call(self, rows: list[list[str]]) -> Floats | None:
        self._calls += 1
        text = io.StringIO()
        csv.writer(text).writerows([self._head, *rows])
        words = ["--output", "csv", "--timeout-seconds", str(_CLIENT_SECONDS)] + ["--all"] * (self._classes is not None)
        done = subprocess.run(
            [*self._command, *words], input=text.getvalue(), capture_output=True, text=True, check=False
        )
        if done.returncode == _REFUSED:
            return None
        if done.returncode not in (0, SOME_UNANSWERED):
            raise CommandError(f"kan-client ended with {done.returncode}: {done.stderr[-500:]}")
        answers = read_answers(done.stdout, self._classes)
        if len(answers) != len(rows):
            raise CommandError(f"kan-client answered {len(answers)} of {len(rows)} rows")
        return answers


def read_answers(text: str, classes: Sequence[str] | None) -> Floats:
    """What kan-client printed as CSV: one column for a regression, else the column probability_CLASS of each class.

    An empty cell is NaN.
    """
    head, *rows = csv.reader(io.StringIO(text))
    columns = [0] if classes is None else [head.index(f"probability_{name}") for name in classes]
    return np.array([[float(row[column] or "nan") for column in columns] for row in rows], dtype=float)


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-500:]


def tidy(folder: Path) -> None:
    """Keep of a trained model what is measured or read later: its graph, manifest, recipe and messages."""
    version = next((folder / "models").glob("*/1"))
    for name in ("model.onnx", "manifest.json"):
        os.replace(version / name, folder / name)
    for name in ("models", "runs"):
        shutil.rmtree(folder / name, ignore_errors=True)

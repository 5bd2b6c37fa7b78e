"""The runs on the reported half: at most five, each in reported_runs.json with its commit, before its first fit."""

import datetime
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MOST_RUNS = 5
PATH = Path(__file__).with_name("reported_runs.json")


class RecordError(Exception):
    """The reported half may not be run."""


def begin(path: Path, commit: str, code: str) -> None:
    """Record a run before its first fit. A run of the same code goes on with the one that is recorded.

    Args:
        path: The JSON file of the runs.
        commit: The commit that runs.
        code: The key of its sources.

    Raises:
        RecordError: five runs of other code are recorded.
    """
    if holds(path, code):
        return
    runs = read(path)
    if len(runs) >= MOST_RUNS:
        raise RecordError(
            f"{path.name} holds {len(runs)} runs on the reported half; no more than {MOST_RUNS} are allowed"
        )
    date = f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    _write(path, [*runs, {"run": len(runs) + 1, "date": date, "commit": commit, "code": code, "found": {}}])


def holds(path: Path, code: str) -> bool:
    """Whether a run of this code is recorded."""
    return any(run["code"] == code for run in read(path))


def end(path: Path, code: str, found: dict[str, float]) -> None:
    """Add what was found to the run of this code."""
    runs = read(path)
    for run in runs:
        if run["code"] == code:
            run["found"] = found
    _write(path, runs)


def read(path: Path) -> list[dict[str, Any]]:
    """The runs in their order."""
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return runs


def clean_commit(root: Path, folders: Sequence[str]) -> str:
    """The commit that is checked out.

    Raises:
        RecordError: one of the folders has changes that are not committed, or this is no checkout.
    """
    try:
        changed = _git(root, "status", "--porcelain", "--", *folders)
        commit = _git(root, "rev-parse", "HEAD")
    except (OSError, subprocess.CalledProcessError) as error:
        raise RecordError(
            f"a run on the reported half is recorded with its commit, and git does not tell it: {error}"
        ) from error
    if changed:
        raise RecordError(f"a run on the reported half is recorded with its commit; commit these first:\n{changed}")
    return commit


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def _write(path: Path, runs: Sequence[dict[str, Any]]) -> None:
    path.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")

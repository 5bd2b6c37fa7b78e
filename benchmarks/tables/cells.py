"""Cells, one for each table, split and method: kept as JSON files, so that a run that was killed goes on."""

import datetime
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

Status = Literal["done", "capped", "failed"]

# The folders of the trainer, the server and the client.
CODE = ("kan_model", "training", "service", "proto")


@dataclass(frozen=True)
class Cell:
    """What one method found on one split of one table.

    Attributes:
        table: The table's name.
        split: The number of the split.
        method: "ours" or a peer's name.
        status: "capped": the fit needed more than `cap_seconds`; "failed": it ended with an error.
        scores: The numbers of benchmarks.tables.methods.metrics; empty unless done.
        fit_cpu_seconds: Processor time of the fit; NaN unless done.
        cap_seconds: The most processor seconds that the fit was given.
        unanswered_rows: Test rows that were not answered.
        is_file_refused: Whether the whole file of test rows was refused at first.
        why: The end of the error, for a failed fit.
        date: The day on which it was measured (UTC).
        is_kept: Whether it comes from the repository (benchmarks.tables.kept), not from this machine.
    """

    table: str
    split: int
    method: str
    status: Status
    scores: dict[str, float] = field(default_factory=dict)
    fit_cpu_seconds: float = float("nan")
    cap_seconds: int = 0
    unanswered_rows: int = 0
    is_file_refused: bool = False
    why: str = ""
    date: str = ""
    is_kept: bool = False

    @property
    def error(self) -> float:
        """RMSE / std of a regression, log loss of a classification; infinite unless done."""
        return self.scores["error"] if self.status == "done" else float("inf")

    def under(self, cap_seconds: int, counted_seconds: int) -> "Cell | None":
        """What the cell says in a run that may measure a fit for `cap_seconds`.

        A fit that was cut off by a smaller cap says nothing (None). One that took longer than `counted_seconds` counts
        as cut off.
        """
        if self.status == "capped" and self.cap_seconds < cap_seconds:
            return None
        if self.status == "done" and self.fit_cpu_seconds > counted_seconds:
            return replace(self, status="capped", scores={}, fit_cpu_seconds=float("nan"), cap_seconds=counted_seconds)
        return self


@dataclass(frozen=True)
class Cells:
    """The folder of the cells. A cell is found again under the same key only: the key names all that may change it."""

    folder: Path

    def place(self, table: str, split: int, method: str, key: str) -> Path:
        """The path of a cell's file."""
        return self.folder / table / str(split) / f"{method}-{key}.json"

    def folder_of(self, table: str, split: int, method: str, key: str) -> Path:
        """The folder where a fit leaves its model, for the timing of answers."""
        return self.place(table, split, method, key).with_suffix("")

    def load(self, table: str, split: int, method: str, key: str) -> Cell | None:
        """The cell, or None where none was stored."""
        path = self.place(table, split, method, key)
        if not path.exists():
            return None
        cell = Cell(**json.loads(path.read_text(encoding="utf-8")))
        # Cells of before the field have only their file's date.
        written = datetime.datetime.fromtimestamp(path.stat().st_mtime, tz=datetime.UTC)
        return cell if cell.date else replace(cell, date=f"{written:%Y-%m-%d}")

    def store(self, cell: Cell, key: str) -> None:
        """Write the cell's file whole, or not at all."""
        path = self.place(cell.table, cell.split, cell.method, key)
        write_whole(path, json.dumps(asdict(cell), indent=1) + "\n")


def today() -> str:
    """The date, as cells have it."""
    return f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"


def write_whole(path: Path, text: str) -> None:
    """Write a file whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def key_of(parts: Iterable[str]) -> str:
    """A short key of some texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def key_of_code(root: Path, folders: Iterable[str] = CODE) -> str:
    """The key of our own code: it changes when a source of the trainer, the server or the client does."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]

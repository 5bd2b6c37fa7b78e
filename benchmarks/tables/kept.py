"""Cells that are kept in the repository, so that no machine measures them twice.

A peer's cell depends on the rows and on the peer's packages, not on our code. ``python -m benchmarks.tables --keep``
writes the cells of a run to measured/METHOD.json, one cell a line. A later run takes from there each cell whose rows
and packages are still the same. Ours are kept for a recorded run on the reported half only, so that it can go on on
another machine; they count for the same code only.
"""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.tables.cells import Cell, write_whole

FOLDER = Path(__file__).with_name("measured")
_DEFAULTS = asdict(Cell("", 0, "", "done"))
_ORDER = tuple(field.name for field in fields(Cell) if field.name not in ("method", "is_kept"))


@dataclass(frozen=True)
class Entry:
    """One cell and what it depends on.

    Attributes:
        cell: The cell as it was measured, whatever the cap of the run that keeps it.
        rows: The fingerprint of the split's rows.
        packages: The versions of the peer's packages and the revision of its fit; for ours, the key of the code.
    """

    cell: Cell
    rows: str
    packages: str

    @property
    def place(self) -> tuple[str, int]:
        """Table and split."""
        return self.cell.table, self.cell.split


@dataclass(frozen=True)
class Kept:
    """The folder of these cells: one JSON file a method, one line a cell, sorted by table and split."""

    folder: Path

    def find(self, table: str, split: int, method: str, rows: str, packages: str) -> Cell | None:
        """The kept cell of these rows and packages, or None."""
        for entry in self.entries(method):
            if (entry.place, entry.rows, entry.packages) == ((table, split), rows, packages):
                return entry.cell
        return None

    def keep(self, entries: Iterable[Entry]) -> list[Path]:
        """Add cells, and replace those of other rows or packages.

        Of two cells of the same rows and packages the one that says more stays: a fit that ended before one that was
        cut off, a larger cap before a smaller one, and last the older one.

        Returns:
            The files that changed.
        """
        by_method: dict[str, list[Entry]] = {}
        for entry in entries:
            by_method.setdefault(entry.cell.method, []).append(entry)
        changed = []
        for method, added in by_method.items():
            before = self.entries(method)
            kept = {entry.place: entry for entry in before}
            for entry in added:
                old = kept.get(entry.place)
                kept[entry.place] = entry if old is None else _better(old, entry)
            after = [kept[place] for place in sorted(kept)]
            if after != before:
                write_whole(self._path(method), _text(after))
                changed.append(self._path(method))
        return changed

    def entries(self, method: str) -> list[Entry]:
        """All kept cells of a method."""
        path = self._path(method)
        lines = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        return [_read(method, line) for line in lines]

    def _path(self, method: str) -> Path:
        return self.folder / f"{method}.json"


def _better(old: Entry, new: Entry) -> Entry:
    if (old.rows, old.packages) != (new.rows, new.packages):
        return new
    return max(old, new, key=_says)


def _says(entry: Entry) -> float:
    return math.inf if entry.cell.status == "done" else entry.cell.cap_seconds


def _text(entries: Sequence[Entry]) -> str:
    lines = []
    for entry in entries:
        values = asdict(entry.cell)
        told = {name: values[name] for name in _ORDER if name == "split" or _is_told(name, values[name])}
        lines.append(json.dumps({**told, "rows": entry.rows, "packages": entry.packages}))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _is_told(name: str, value: Any) -> bool:
    # NaN differs from itself, so its text is compared.
    return repr(value) != repr(_DEFAULTS[name]) or name == "status"


def _read(method: str, line: dict[str, Any]) -> Entry:
    rows, packages = line.pop("rows"), line.pop("packages")
    return Entry(Cell(method=method, is_kept=True, **line), rows, packages)

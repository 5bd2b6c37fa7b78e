"""The peers' cells in the repository: read back as they were, one line each, and never a worse one over a better."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.tables.cells import Cell
from benchmarks.tables.kept import FOLDER, Entry, Kept
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.methods.peers import PEERS
from benchmarks.tables.served import NAME as SERVED
from benchmarks.tables.sources import SOURCES
from benchmarks.tables.splits import SPLITS

DONE = Cell("auto", 0, "EBM", "done", {"error": 1 / 3}, fit_cpu_seconds=12.5, cap_seconds=300, date="2026-11-27")
CAPPED = Cell("auto", 0, "EBM", "capped", cap_seconds=300, date="2026-11-27")
MOST_BYTES = 200_000


def _entry(cell: Cell, rows: str = "rows", packages: str = "interpret-core=1 revision=1") -> Entry:
    return Entry(cell, rows, packages)


@pytest.mark.parametrize("cell", [DONE, CAPPED, replace(DONE, split=4, table="ames", unanswered_rows=2)])
def test_kept_cell_reads_back(tmp_path: Path, cell: Cell) -> None:
    """To the last digit, under its rows and packages only."""
    kept = Kept(tmp_path)
    kept.keep([_entry(cell)])
    found = kept.find(cell.table, cell.split, "EBM", "rows", "interpret-core=1 revision=1")
    assert repr(found) == repr(replace(cell, is_kept=True))
    assert kept.find(cell.table, cell.split, "EBM", "other", "interpret-core=1 revision=1") is None
    assert kept.find(cell.table, cell.split, "EBM", "rows", "interpret-core=2 revision=1") is None
    assert kept.find(cell.table, cell.split + 1, "EBM", "rows", "interpret-core=1 revision=1") is None


def test_a_cell_is_a_line(tmp_path: Path) -> None:
    """Sorted by table and split, so that a diff shows only the cells that changed; only numbers that are known."""
    cells = [replace(DONE, table=table, split=split) for table in ("boston", "auto") for split in (1, 0)]
    assert Kept(tmp_path).keep([_entry(cell) for cell in [*cells, replace(CAPPED, split=2)]]) == [tmp_path / "EBM.json"]
    first, *lines, last = (tmp_path / "EBM.json").read_text(encoding="utf-8").splitlines()
    assert (first, last) == ("[", "]")
    told = [json.loads(line.rstrip(",")) for line in lines]
    assert [(each["table"], each["split"]) for each in told] == [
        *(("auto", 0), ("auto", 1), ("auto", 2), ("boston", 0), ("boston", 1))
    ]
    assert set(told[2]) == {"table", "split", "status", "cap_seconds", "date", "rows", "packages"}


@pytest.mark.parametrize(
    ("old", "new", "is_replaced"),
    [
        (_entry(DONE), _entry(CAPPED), False),
        (_entry(CAPPED), _entry(DONE), True),
        (_entry(CAPPED), _entry(replace(CAPPED, cap_seconds=30)), False),
        (_entry(CAPPED), _entry(replace(CAPPED, cap_seconds=900)), True),
        (_entry(DONE), _entry(replace(DONE, fit_cpu_seconds=99.0)), False),
        (_entry(DONE), _entry(CAPPED, packages="interpret-core=2 revision=1"), True),
        (_entry(DONE), _entry(CAPPED, rows="other"), True),
    ],
)
def test_the_cell_that_says_more_stays(tmp_path: Path, old: Entry, new: Entry, is_replaced: bool) -> None:
    """Of equal rows and packages; where these changed, the old cell is of no use."""
    kept = Kept(tmp_path)
    kept.keep([old])
    assert bool(kept.keep([new])) == is_replaced
    [found] = kept.entries("EBM")
    expected = new if is_replaced else old
    assert (found.rows, found.packages, found.cell.status) == (expected.rows, expected.packages, expected.cell.status)
    assert found.cell.cap_seconds == expected.cell.cap_seconds


def test_other_cells_are_left_as_they_are(tmp_path: Path) -> None:
    """A run of one table changes the lines of that table only, and other methods' files not at all."""
    kept = Kept(tmp_path)
    kept.keep([_entry(DONE), _entry(replace(DONE, table="ames")), _entry(replace(DONE, method="MLP"))])
    before = (tmp_path / "EBM.json").read_text(encoding="utf-8").splitlines()
    assert kept.keep([_entry(replace(DONE, table="boston"))]) == [tmp_path / "EBM.json"]
    after = (tmp_path / "EBM.json").read_text(encoding="utf-8").splitlines()
    assert [line.rstrip(",") for line in before[1:-1]] == [line.rstrip(",") for line in after[1:3]]


def test_committed_cells_are_of_tables_and_peers_that_exist() -> None:
    """Each file is small and sorted. Ours are those of the reported half only."""
    reported = {source.name for source in SOURCES if source.half == "reported"}
    for path in FOLDER.glob("*"):
        assert path.stem in {*PEERS, OURS, SERVED}
        assert path.stat().st_size < MOST_BYTES
        entries = Kept(FOLDER).entries(path.stem)
        places = [entry.place for entry in entries]
        assert places == sorted(set(places))
        allowed = {source.name for source in SOURCES} if path.stem in PEERS else reported
        assert {table for table, _ in places} <= allowed
        assert all(0 <= split < SPLITS for _, split in places)
        assert all(entry.cell.date and entry.cell.status in ("done", "capped") for entry in entries)

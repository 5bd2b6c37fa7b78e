"""Cells are kept whole, found under their own key only, and judged by the cap of the run that reads them."""

import datetime
import os
from dataclasses import replace
from pathlib import Path

from benchmarks.tables.cells import Cell, Cells, key_of, key_of_code


def _done(seconds: float) -> Cell:
    scores = {"error": 0.25, "trivial": 1.0}
    return Cell("auto", 0, "EBM", "done", scores, fit_cpu_seconds=seconds, cap_seconds=300, date="2026-11-27")


def test_stored_cell_is_found_again(tmp_path: Path) -> None:
    """Under its key, and nothing else is left in the folder."""
    cells = Cells(tmp_path)
    cells.store(_done(5.0), "key")
    assert cells.load("auto", 0, "EBM", "key") == _done(5.0)
    assert cells.load("auto", 0, "EBM", "other") is None
    assert cells.load("auto", 1, "EBM", "key") is None
    assert [path.name for path in (tmp_path / "auto" / "0").iterdir()] == ["EBM-key.json"]


def test_cell_without_a_date_has_that_of_its_file(tmp_path: Path) -> None:
    """Cells of before the field count on, and tell when they were measured."""
    cells = Cells(tmp_path)
    cells.store(replace(_done(5.0), date=""), "key")
    path = cells.place("auto", 0, "EBM", "key")
    noon = datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.UTC).timestamp()
    os.utime(path, (noon, noon))
    found = cells.load("auto", 0, "EBM", "key")
    assert found == replace(_done(5.0), date="2025-03-01")


def test_fit_that_was_cut_off_counts_up_to_its_cap() -> None:
    """A run that gives it more seconds measures it again."""
    capped = Cell("auto", 0, "EBM", "capped", cap_seconds=30)
    found = capped.under(20, 20)
    assert found is not None
    assert found.status == "capped"
    assert found.error == float("inf")
    assert capped.under(300, 300) is None


def test_fit_that_took_longer_than_the_cap_counts_as_cut_off() -> None:
    """A run with a smaller cap sees what it would have measured."""
    found = _done(50.0).under(30, 30)
    assert found is not None
    assert (found.status, found.scores, found.cap_seconds) == ("capped", {}, 30)
    assert _done(50.0).under(60, 60) == _done(50.0)


def test_quick_run_shows_what_a_whole_run_measured() -> None:
    """It costs nothing; only a fit that it measures itself ends at its smaller cap."""
    assert _done(50.0).under(30, 300) == _done(50.0)


def test_key_changes_with_every_part() -> None:
    """Also where two parts share their letters differently."""
    assert key_of(["ab", "c"]) == key_of(["ab", "c"])
    assert len({key_of(parts) for parts in (["ab", "c"], ["a", "bc"], ["ab"], ["c", "ab"])}) == 4


def test_key_of_code_is_that_of_its_sources(tmp_path: Path) -> None:
    """It changes with a source of the trainer, and not with another file."""
    source = tmp_path / "training" / "fit.py"
    source.parent.mkdir()
    source.write_text("rate = 1")
    before = key_of_code(tmp_path)
    (tmp_path / "training" / "notes.txt").write_text("none of the code")
    (tmp_path / "docs").mkdir()
    assert key_of_code(tmp_path) == before
    source.write_text("rate = 2")
    assert key_of_code(tmp_path) != before

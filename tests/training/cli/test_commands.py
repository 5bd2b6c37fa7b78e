"""What the commands of kan-train do with files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from training.cli import main
from training.recipe.config import load_recipe


def test_init_writes_where_it_is_told_and_replaces_only_if_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table's path counts from the recipe's folder. Not even --force writes over the table."""
    pd.DataFrame({"x": np.arange(60) % 7 * 1.5, "y": np.arange(60) % 7 * 0.25}).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "recipes").mkdir()
    monkeypatch.chdir(tmp_path)
    command = ["init", "t.csv", "--target", "y", "--output", "recipes/mine.toml"]
    assert main(command) == 0
    assert "kan-train run recipes/mine.toml" in capsys.readouterr().out
    recipe = tmp_path / "recipes" / "mine.toml"
    assert 'path = "../t.csv"' in recipe.read_text()
    recipe.write_text("edited")
    assert main(command) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert recipe.read_text() == "edited"
    assert main([*command, "--force"]) == 0
    assert recipe.read_text().startswith("# Drafted by")
    table = (tmp_path / "t.csv").read_bytes()
    assert main(["init", "t.csv", "--target", "y", "--output", "t.csv", "--force"]) == 2
    assert "this is the table" in capsys.readouterr().err
    assert (tmp_path / "t.csv").read_bytes() == table
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine.toml", "recipes", "t.csv"]


@pytest.mark.parametrize("kind", [[], ["--formula"], ["--additive"]])
def test_a_second_recipe_of_a_table_is_of_a_model_of_its_own(
    kind: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is named after the recipe, so a formula overwrites neither the run nor the version of the first one."""
    pd.DataFrame({"x": np.arange(60) % 7 * 1.5, "y": np.arange(60) % 7 * 0.25}).to_csv(tmp_path / "t.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "t.csv", "--target", "y"]) == 0
    assert main(["init", "t.csv", "--target", "y", *kind, "--output", "second one.toml"]) == 0
    names = [load_recipe(Path(file)).model.name for file in ("t.toml", "second one.toml")]
    assert names == ["t", "second_one"]

"""The fit of a recipe of an additive model: what judges it, degenerate tables, and its time."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from training.additive import plan
from training.additive.plan import AdditiveFit
from training.data.dataset import prepare
from training.errors import FitRefused
from training.fitting.fit import FitState
from training.pipelines.fresh.fit import new_fit
from training.recipe.config import parse_recipe


def _fit(folder: Path, table: pd.DataFrame, more: str = "", kind: str = "regression") -> tuple[AdditiveFit, FitState]:
    table.to_csv(folder / "t.csv", index=False)
    columns = [name for name in table.columns if name not in ("y", "house")]
    text = (
        f'[model]\nname = "m"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = {columns}\n'
        f'[task]\nkind = "{kind}"\n[network]\nadditive = true\n{more}'
    )
    recipe = parse_recipe(text, folder=folder, name="recipe")
    way, _ = new_fit(recipe, prepare(recipe))
    assert isinstance(way, AdditiveFit)
    state = way.begin()
    for each in way.steps(state):
        state = each
    return way, state


def _noise(rows: int, columns: int = 1) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    table = pd.DataFrame(generator.normal(size=(rows, columns)), columns=[f"x{place}" for place in range(columns)])
    table["y"] = generator.normal(size=rows)
    return table


def test_out_of_fold_answers_are_those_of_fits_without_the_fold(tmp_path: Path) -> None:
    """A target that is 1 in one house and nothing else: with houses as groups no other row tells of it."""
    generator = np.random.default_rng(1)
    house = np.repeat(np.arange(20), 10)
    table = pd.DataFrame({"number": house + 0.01 * generator.normal(size=200), "house": house})
    table["y"] = (house == 7) * 10.0 + 0.1 * generator.normal(size=200)
    grouped, state = _fit(tmp_path, table, '[split]\nkind = "group"\ncolumn = "house"\n')
    rows, answers = grouped.out_of_fold(state)
    assert sorted(rows.tolist()) == sorted([*grouped.dataset.train.tolist(), *grouped.dataset.validation.tolist()])
    own = house[rows] == 7
    if own.any():
        assert float(np.abs(answers[own, 0] - 10).min()) > 1.0
    assert state.history[-1].validation_loss > state.history[-1].train_loss


def test_a_target_of_noise_gets_flat_curves(tmp_path: Path) -> None:
    """Its answers vary little beside the target, and the out-of-fold loss is near that of the mean."""
    way, state = _fit(tmp_path, _noise(400, 5))
    with torch.no_grad():
        spread = float(way.network(state)(way.rows.x).std())
    assert spread < 0.35
    assert state.history[-1].validation_loss < 1.15


def test_a_target_that_a_sum_of_curves_is_has_next_to_no_error(tmp_path: Path) -> None:
    """No noise: the residual is what splines on 30 intervals leave."""
    table = _noise(1000, 2)
    table["y"] = np.sin(2 * table["x0"]) + table["x1"] ** 2
    _, state = _fit(tmp_path, table)
    assert state.history[-1].validation_loss < 1e-4


def test_ten_rows_and_equal_columns(tmp_path: Path) -> None:
    """The least table, with a column twice and a huge value: finite curves."""
    table = _noise(10)
    table["x1"] = table["x0"]
    table.loc[0, ["x0", "x1"]] = 1e6
    way, state = _fit(tmp_path, table)
    with torch.no_grad():
        assert bool(torch.isfinite(way.network(state)(way.rows.x)).all())


def test_one_group_of_rows_that_train_is_dealt_row_by_row(tmp_path: Path) -> None:
    """Nothing would be left to judge it by."""
    table = _noise(60)
    table["house"] = ["a"] * 40 + ["b"] * 10 + ["c"] * 10
    way, state = _fit(tmp_path, table, '[split]\nkind = "group"\ncolumn = "house"\n')
    assert np.isfinite(way.out_of_fold(state)[1]).all()


def test_more_coefficients_than_the_fit_is_for_are_refused(tmp_path: Path) -> None:
    """With the numbers, and what to change."""
    with pytest.raises(FitRefused, match=r"at most 6000 coefficients, and 70 curves on 90 intervals"):
        _fit(tmp_path, _noise(200, 70), "[fit]\ngrids = [90]\n")


def test_pairs_are_at_most_as_many_as_the_columns_make(tmp_path: Path) -> None:
    """A column that is constant makes none; of one column there is no pair at all; the notes tell of it."""
    table = _noise(60, 3)
    table["x2"] = 1.0
    table["y"] = table["x0"] * table["x1"]
    way, state = _fit(tmp_path, table, "pairs = 2\n")
    assert "and 0 lines; 1 of at most 2 pairs, the strongest first: x0 × x1; effective" in way.notes(state)[0]
    way, state = _fit(tmp_path, table, "pairs = 1\n")
    assert "and 0 lines; 1 pair, the strongest first: x0 × x1; effective" in way.notes(state)[0]
    way, state = _fit(tmp_path, table.drop(columns="x1"), "pairs = 3\n")
    assert "and 0 lines; 0 of at most 3 pairs, since none is stronger than noise; effective" in way.notes(state)[0]


def test_a_sum_of_curves_has_no_pairs(tmp_path: Path) -> None:
    """All ten pairs are noise: the network is the same as without."""
    table = _noise(300, 5)
    table["y"] += table["x0"] ** 2
    plain, with_pairs = _fit(tmp_path, table), _fit(tmp_path, table, "pairs = 10\n")
    assert "0 of at most 10 pairs, since none is stronger than noise" in with_pairs[0].notes(with_pairs[1])[0]
    with torch.no_grad():
        answers = [way.network(state)(way.rows.x) for way, state in (plain, with_pairs)]
    torch.testing.assert_close(answers[1], answers[0], rtol=0, atol=0)


def test_pairs_beyond_the_coefficients_of_a_model_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weaker one of two, where there is room for the products of one; the notes tell of it."""
    table = _noise(300, 4)
    table["y"] += 5 * table["x0"] * table["x1"] + 3 * table["x2"] * table["x3"]
    way, state = _fit(tmp_path, table, "pairs = 100\n")
    assert "x0 × x1, x2 × x3" in way.notes(state)[0]
    curves = way._curves.rows.coefficients
    monkeypatch.setattr(plan, "_MOST_COEFFICIENTS", curves + 49)
    way, state = _fit(tmp_path, table, "pairs = 100\n")
    assert re.search(r"1 of at most 100 pairs, the strongest first: x0 × x1; \d more left out", way.notes(state)[0])
    assert way._solution.rows.coefficients <= curves + 49
    monkeypatch.setattr(plan, "_MOST_COEFFICIENTS", curves)
    way, state = _fit(tmp_path, table, "pairs = 100\n")
    assert re.search(r"; 0 of at most 100 pairs; \d left out, because a model has at most", way.notes(state)[0])


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_ten_rows_and_equal_columns_with_pairs(tmp_path: Path, kind: str) -> None:
    """The least table, with a column twice and a huge value: finite answers."""
    table = _noise(10)
    table["x1"], table["x2"] = table["x0"], np.arange(10) % 2
    table.loc[0, ["x0", "x1"]] = 1e6
    if kind == "classification":
        table["y"] = np.where(np.arange(10) % 3 == 0, "rare", "usual")
    way, state = _fit(tmp_path, table, "pairs = 3\n", kind=kind)
    with torch.no_grad():
        assert bool(torch.isfinite(way.network(state)(way.rows.x)).all())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_ten_products_of_twenty_columns_are_found(tmp_path: Path, kind: str) -> None:
    """Of numbers and of two classes, from 10,000 rows. What it costs: ``python -m benchmarks.training.additive``."""
    table = _noise(10_000, 20)
    table["y"] += sum(np.sin((place / 3 + 1) * table[f"x{place}"]) for place in range(15))
    table["y"] += sum(table[f"x{place}"] * table[f"x{place + 10}"] for place in range(10))
    if kind == "classification":
        table["y"] = np.where(table["y"] > 0, "yes", "no")
    way, state = _fit(tmp_path, table, "pairs = 10\n", kind=kind)
    assert "; 10 pairs" in way.notes(state)[0]


def test_a_fit_that_ends_before_it_settles_says_so(tmp_path: Path) -> None:
    """Eight classes that take turns, all but without an overlap, one of two rows: 25 rounds are too few."""
    generator = np.random.default_rng(5)
    table = pd.DataFrame(generator.uniform(-1, 1, size=(200, 2)), columns=["a", "b"])
    classes = np.clip(np.floor((table["a"] + 1) * 3.5 + 0.1 * generator.normal(size=200)), 0, 6).astype(int)
    classes[:2] = 7
    table["y"] = [f"class {each}" for each in classes]
    hard = _fit(tmp_path, table, "[fit]\ngrids = [5]\n", kind="classification")
    assert "the Newton steps ended before the loss settled" in hard[0].notes(hard[1])[0]
    easy = _fit(tmp_path, _noise(100))
    assert "settled" not in easy[0].notes(easy[1])[0]


def test_the_notes_tell_how_many_rows_weights_leave(tmp_path: Path) -> None:
    """Balanced classes of 3 % and 97 %: the effective rows are (Σw)² / Σw²."""
    table = _noise(400)
    table["y"] = np.where(np.arange(400) % 33 == 0, "rare", "usual")
    way, state = _fit(tmp_path, table, '[split]\nkind = "random"\n', kind='classification"\nclass_weights = "balanced')
    assert way.rows.weights is not None
    weights = way.rows.weights.double()
    wanted = float(weights.sum() ** 2 / weights.square().sum())
    assert f"for {len(weights)} rows, which weigh as {wanted:.0f}" in way.notes(state)[0]

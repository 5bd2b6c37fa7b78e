"""What a recipe of an additive model may hold, and what is refused by name."""

from pathlib import Path

import pytest

from training.errors import RecipeError
from training.recipe.config import Recipe, parse_recipe

TABLE = '[model]\nname = "m"\n[data]\npath = "t.csv"\ntarget = "y"\ncolumns = ["a"]\n'
REGRESSION = '[task]\nkind = "regression"\n'
ADDITIVE = "[network]\nadditive = true\n"


def _parse(text: str) -> Recipe:
    return parse_recipe(text, folder=Path(), name="recipe")


def test_an_additive_model_has_no_hidden_level() -> None:
    """Left out, `hidden` is []; rows of the validation part train, as those of an ensemble do."""
    recipe = _parse(TABLE + REGRESSION + ADDITIVE)
    assert recipe.network.hidden == ()
    assert recipe.validation_trains
    assert recipe.validation_only_trains
    assert not _parse(TABLE + REGRESSION).validation_trains
    assert not _parse(TABLE + REGRESSION).validation_only_trains
    assert _parse(TABLE + REGRESSION + ADDITIVE + "hidden = []\ndegree = 2\n[fit]\ngrids = [8]\nseed = 3\n")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hidden = [4]\n", "[network]: hidden: not with additive = true"),
        ('outside = "decay"\n', '[network]: outside = "decay": not with additive = true'),
        ('initialization = "paper"\n', "[network]: initialization: not with additive = true"),
        ("degree = 1\n", "[network]: degree = 1: not with additive = true"),
        ("[adapt]\n", "[adapt]: not with [network] additive = true: its knots follow"),
        ("[ensemble]\n", "[ensemble]: not with [network] additive = true"),
        ("[intervals]\n", "[intervals]: not with [network] additive = true: they are made from the answers of members"),
        ("[sparsify]\n", "[sparsify]: not with [network] additive = true"),
        ("[prune]\n", "[prune]: not with [network] additive = true"),
        ("[fit]\nsteps = 3\nlearning_rate = 0.1\n", "[fit] learning_rate, steps: not with [network] additive = true"),
        ('[fit]\noptimizer = "lbfgs"\n', "[fit] learning_rate, optimizer: not with [network] additive = true"),
        ("[fit]\nsmoothness = 0.1\n", "[fit] smoothness: not with [network] additive = true"),
        ("[fit]\ngrids = [3, 6]\n", "[fit] grids = [3, 6]: wanted one grid size"),
        ("pairs = 101\n", "pairs"),
        ("pairs = -1\n", "pairs"),
        ("pairs = true\n", "pairs"),
        ('[symbolic]\nchoice = "in-context"\n', '[symbolic] choice = "in-context": not with [network] additive = true'),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, wanted: str) -> None:
    """Sections and keys of fits by an optimizer."""
    with pytest.raises(RecipeError) as caught:
        _parse(TABLE + REGRESSION + ADDITIVE + text)
    assert wanted in str(caught.value)


@pytest.mark.parametrize("objective", ["mae", "huber", "quantile"])
def test_losses_with_corners_are_refused(objective: str) -> None:
    """Newton steps need a second derivative; counts and amounts have one."""
    key = {"huber": "huber_delta = 1.0\n", "quantile": "quantile = 0.9\n"}.get(objective, "")
    with pytest.raises(RecipeError, match=rf'objective = "{objective}": not with \[network\] additive = true'):
        _parse(TABLE + f'{REGRESSION}objective = "{objective}"\n{key}' + ADDITIVE)
    assert _parse(TABLE + f'{REGRESSION}objective = "poisson"\n' + ADDITIVE)


def test_pairs_are_for_additive_models_only() -> None:
    """Beside curves they are taken; without them they are refused, also where `additive` is false."""
    assert _parse(TABLE + REGRESSION + ADDITIVE + "pairs = 100\n").network.pairs == 100
    for text in ("[network]\npairs = 3\n", "[network]\nadditive = false\npairs = 3\n"):
        with pytest.raises(RecipeError, match=r"\[network\]: pairs: only with additive = true"):
            _parse(TABLE + REGRESSION + text)
    assert _parse(TABLE + REGRESSION + "[network]\npairs = 0\n").network.pairs == 0

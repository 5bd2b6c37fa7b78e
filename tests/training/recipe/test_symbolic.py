"""[symbolic] beside other sections, and with other keys."""

from pathlib import Path

import pytest

from tests.kit.recipes import OF_ONE_COLUMN
from training.errors import RecipeError
from training.recipe.config import parse_recipe
from training.recipe.fit_sections import SymbolicSection
from training.recipe.symbolic import symbolic_section

_RECIPE = f"""{OF_ONE_COLUMN}
[symbolic]
choice = "in-context"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "regression"', 'kind = "classification"', 'not with [task] kind = "classification"'),
        ('kind = "regression"', 'kind = "regression"\nobjective = "mae"', 'not with [task] objective = "mae"'),
        ('kind = "regression"', 'kind = "regression"\ntarget_scale = "log"', '[task] target_scale = "log"'),
        ('target = "y"', 'target = ["y", "z"]', "not with several columns as [data] target"),
        ('target = "y"', 'target = "y"\nweights = "w"', "not with [data] weights"),
    ],
)
def test_what_no_search_in_context_can_follow_is_refused_before_the_fit(old: str, new: str, message: str) -> None:
    """With the key at fault and the other choice."""
    parse_recipe(_RECIPE, folder=Path(), name="r.toml")
    with pytest.raises(RecipeError) as caught:
        parse_recipe(_RECIPE.replace(old, new), folder=Path(), name="r.toml")
    assert message in str(caught.value)
    assert 'wanted choice = "by-edge"' in str(caught.value)


def test_changes_keep_the_other_keys_of_the_run() -> None:
    """A key of one choice asks for it; keys of the other one go."""
    kept = SymbolicSection(choice="in-context", seeds=5, functions=("x", "sin"))
    looser = symbolic_section({"min_r2": 0.8}, kept)
    assert (looser.choice, looser.min_r2, looser.functions) == ("by-edge", 0.8, ("x", "sin"))
    more = symbolic_section({"seeds": 3}, kept)
    assert (more.choice, more.seeds, more.functions) == ("in-context", 3, ("x", "sin"))
    assert symbolic_section({}, kept) == kept
    assert symbolic_section({}).choice == "by-edge"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_r2": float("nan")}, "--min-r2 nan: "),
        ({"min_r2": 0.0}, "--min-r2 0.0: Input should be greater than 0"),
        ({"budget": 0.0}, "--budget 0.0: "),
        ({"min_r2": 0.9, "seeds": 3}, "only with choice ="),
        ({"seeds": 3, "choice": "by-edge"}, 'seeds: only with choice = "in-context"'),
    ],
)
def test_a_mistake_names_its_option(changes: dict[str, object], message: str) -> None:
    """NaN too."""
    with pytest.raises(RecipeError) as caught:
        symbolic_section(changes)
    assert message in str(caught.value)

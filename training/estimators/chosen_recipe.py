"""An estimator's parameters as a recipe: what `kan-train init` drafts for the rows, changed by what was asked for."""

import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from training.data.table import Table
from training.draft.draft import count_features, render
from training.draft.formula_plan import Choice, formula_choice
from training.draft.inspection import inspect_table
from training.draft.proposal import Proposal, SplitChoice, propose_for
from training.errors import RecipeError, quoted, quoted_list
from training.recipe.config import Recipe, parse_recipe
from training.recipe.fit_sections import KEYS_OF_CHOICE
from training.recipe.toml_text import toml_text

# A table that a person could write the rows to: the recipe of a published version names it.
_TABLE = Path("rows.csv")
# The section of each parameter that is one key of it, by the key's name.
_SECTION_OF = {
    "hidden": "network",
    "grids": "fit",
    "steps": "fit",
    "batch_rows": "fit",
    "learning_rate": "fit",
    "weight_decay": "fit",
    "smoothness": "fit",
    "monotone": "network",
    "pairs": "network",
    "seed": "fit",
    "members": "ensemble",
    "objective": "task",
    "quantile": "task",
    "huber_delta": "task",
    "target_scale": "task",
    "class_weights": "task",
    "coverage": "intervals",  # of a regression; of classes "calibration"
}
# What is known without a recipe.
_OWN_KEYS = {
    "model": frozenset({"name", "continue_from"}),
    "data": frozenset({"path", "source", "target", "columns", "weights"}),
    "task": frozenset({"kind"}),
}
_FOR_IMAGES = ("image", "augment")
# What a fit that goes on with a network can follow: nothing that would change edges where no row is.
_LEARNING_KEYS = {"optimizer", "steps", "batch_rows", "learning_rate", "schedule", "seed"}


@dataclass(frozen=True)
class Choices:
    """What was asked for.

    Attributes:
        keys: Keys of the recipe by their names.
        is_searched: Whether the drafted candidates compete; else the first one's plan is followed.
        is_symbolic: Whether the network shall become a formula.
        is_additive: Whether the network shall be a sum of curves.
        sections: Further keys by section; None in place of a section leaves it out.
    """

    keys: Mapping[str, Any] = field(default_factory=dict)
    is_searched: bool = True
    is_symbolic: bool = False
    is_additive: bool = False
    sections: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Roles:
    """Which columns of a table are what.

    Attributes:
        task: What is asked for.
        inputs: Names of the inputs.
        targets: Names of the targets.
        weights: The column of weights; None: there is none.
        groups: The column of groups; None: there is none.
    """

    task: Literal["classification", "regression"]
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    weights: str | None = None
    groups: str | None = None


def choose_recipes(table: Table, roles: Roles, choices: Choices, name: str) -> list[Recipe]:
    """The recipe for the rows, with each split that may fit them, the best first.

    Args:
        table: The rows: inputs, targets, and the columns of weights and groups.
        roles: Which columns are what.
        choices: What was asked for.
        name: Of the estimator, for messages.

    Raises:
        DataError: a column cannot be an input.
        RecipeError: a parameter is of the wrong type or out of its range, or contradicts another one.
    """
    _check_sections(choices.sections, name)
    shown = replace(table, cells={each: table.cells[each] for each in (*roles.inputs, *roles.targets)})
    inspection = inspect_table(_TABLE, shown, roles.targets[0])
    proposal = propose_for(inspection, roles.task, roles.inputs)
    for facts in proposal.inputs:
        if facts.doubt:
            used = f"column {quoted(facts.name)} is used as {facts.kind}; {facts.doubt}"
            warnings.warn(f"{name}: {used}", stacklevel=4)
    splits = [split for split in proposal.splits if split.kind != "group" and split.column not in roles.targets]
    if roles.groups is not None:
        splits = [SplitChoice("group", roles.groups, "what was asked for")]
    formula = _formula_choice(proposal, roles, choices) if choices.is_symbolic and not choices.is_additive else None
    recipes = []
    for split in splits:
        sections = tomllib.loads(
            render(inspection, proposal, split, Path(), formula=formula, additive=choices.is_additive)
        )
        if roles.weights is not None:
            sections["data"]["weights"] = roles.weights
        if len(roles.targets) > 1:
            sections["data"]["target"] = list(roles.targets)
            sections["task"].pop("target_scale", None)
        changed = _change(sections, choices)
        _check_promised(changed["network"].get("monotone"), roles.inputs, name)
        recipes.append(parse_recipe(toml_text(changed), folder=Path(), name=name))
    if (mode := recipes[0].data.missing) in ("drop_rows", "refuse"):
        raise RecipeError(f'{name}: [data] missing = "{mode}"; wanted "indicator" or "median": each row gets an answer')
    return recipes


def recipe_to_learn_on(recipe: Recipe, chosen: Recipe, roles: Roles, choices: Choices, name: str) -> Recipe:
    """The recipe by which a fitted network learns on from new rows.

    Args:
        recipe: Of the first fit.
        chosen: The plan that it came from; a search may have chosen it.
        roles: Which of the new rows' columns are what.
        choices: Keys of the fit that were asked for; the network and its grids stay.
        name: Of the estimator, for messages.

    Raises:
        RecipeError: a parameter is of the wrong type or out of its range.
    """
    sections = tomllib.loads(recipe.text)
    for section in ("ensemble", "search", "intervals", "calibration", "sparsify", "prune", "symbolic"):
        sections.pop(section, None)
    if sections.get("network", {}).pop("additive", False):
        # An optimizer moves curves and pairs, and the validation rows do not train.
        sections["network"].pop("pairs", None)
        sections["network"]["hidden"] = []
    plan = chosen.fit.model_dump(include=_LEARNING_KEYS, exclude_none=True)
    given = {key: value for key, value in choices.keys.items() if key in _LEARNING_KEYS}
    sections["fit"] = plan | given
    if sections["fit"].get("optimizer") == "levenberg-marquardt" and "learning_rate" not in given:
        sections["fit"].pop("learning_rate", None)
    sections["data"] = {key: value for key, value in sections["data"].items() if key != "weights"}
    sections["data"] |= {"weights": roles.weights} if roles.weights else {}
    sections["split"] = {"kind": "group", "column": roles.groups} if roles.groups else {"kind": "random"}
    return parse_recipe(toml_text(sections), folder=Path(), name=name)


def rename(recipe: Recipe, model: str) -> Recipe:
    """The recipe for another model.

    Raises:
        RecipeError: no model can be called so.
    """
    sections = tomllib.loads(recipe.text)
    sections["model"]["name"] = model
    return parse_recipe(toml_text(sections), folder=Path(), name=f"the model {model!r}")


def _formula_choice(proposal: Proposal, roles: Roles, choices: Choices) -> Choice:
    """As `kan-train init --formula` chooses; by edge where keys ask for it or the search in context cannot follow."""
    symbolic, task = (choices.sections.get(section) or {} for section in ("symbolic", "task"))
    if "choice" in symbolic:
        return "in-context" if symbolic["choice"] == "in-context" else "by-edge"
    objective, scale = ({**task, **choices.keys}.get(key) for key in ("objective", "target_scale"))
    is_plain = objective in (None, "squared_error") and scale != "log"
    if not is_plain or roles.weights is not None or len(roles.targets) > 1 or KEYS_OF_CHOICE["by-edge"] & set(symbolic):
        return "by-edge"
    return formula_choice(roles.task, count_features(proposal))


def _check_sections(sections: Mapping[str, Mapping[str, Any] | None], name: str) -> None:
    if not isinstance(sections, Mapping):
        raise RecipeError(f"{name}: recipe is {sections!r}; wanted keys by section, or None")
    for section, keys in sections.items():
        if not isinstance(keys, Mapping | None):
            raise RecipeError(f"{name}: recipe has {section!r}: {keys!r}; wanted keys of a section, or None to drop it")
        own = _OWN_KEYS.get(section, frozenset())
        if section in _FOR_IMAGES or (keys is None and own) or own & set(keys or ()):
            shown = f"[{section}] {', '.join(sorted(own & set(keys or ())))}".strip()
            raise RecipeError(
                f"{name}: recipe must not change {shown}: X, y and the arguments of fit and export say it"
            )


def _check_promised(monotone: object, columns: Sequence[str], name: str) -> None:
    """Refuse what names no columns of X, before the recipe does so in words of its own."""
    if not isinstance(monotone, Mapping | None):
        raise RecipeError(f'{name}: monotone is {monotone!r}; wanted directions by column, such as {{"age": "up"}}')
    if isinstance(monotone, Mapping) and (strange := [str(each) for each in monotone if each not in columns]):
        raise RecipeError(
            f"{name}: monotone has {quoted(strange[0])}, which is no column of X; wanted some of "
            f"{quoted_list(columns)} (columns of an array are x0, x1 and so on)"
        )


def _change(sections: dict[str, Any], choices: Choices) -> dict[str, Any]:
    changed = _merge(sections, {"model": {"name": "model"}, "baseline": None})  # no row is held out
    if choices.is_symbolic and choices.is_additive:
        changed = _merge(changed, {"symbolic": {}})
    keys = dict(choices.keys)
    if keys.get("members") == 1:
        del keys["members"]
        changed = _merge(changed, {"ensemble": None, "search": None})
    if not choices.is_searched:
        changed = _merge(changed, {"search": None})
    for key, value in keys.items():
        is_of_sets = key == "coverage" and changed["task"]["kind"] == "classification"
        changed = _merge(changed, {"calibration" if is_of_sets else _SECTION_OF[key]: {key: value}})
    if "search" in changed:
        changed["search"]["candidates"] = _distinct(changed["search"]["candidates"], keys)
    if keys.get("objective", "squared_error") in ("poisson", "gamma"):
        changed["task"].pop("target_scale", None)
    if "kind" in (choices.sections.get("split") or {}):
        changed.get("split", {}).pop("column", None)  # the draft chose it for a split of another kind
    return _merge(changed, choices.sections)


def _merge(sections: dict[str, Any], changes: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    merged = {name: section for name, section in sections.items() if changes.get(name, {}) is not None}
    for name, keys in changes.items():
        if keys is not None:
            merged[name] = merged.get(name, {}) | dict(keys)
    return merged


def _distinct(candidates: Sequence[dict[str, Any]], keys: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The candidates without what was asked for, each once."""
    found: list[dict[str, Any]] = []
    for candidate in candidates:
        own = {key: value for key, value in candidate.items() if key not in keys}
        if own not in found:
            found.append(own)
    return found

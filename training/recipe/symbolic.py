"""[symbolic] beside other sections, and with other keys as the command line gives them."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from training.errors import RecipeError
from training.recipe.fit_sections import KEYS_OF_CHOICE, SymbolicSection
from training.recipe.sections import DataSection, TaskSection


def symbolic_section(changes: Mapping[str, Any], kept: SymbolicSection | None = None) -> SymbolicSection:
    """The section of a run with some keys changed; keys of the other way to choose functions are left out.

    A key that only one way has, such as min_r2, asks for that way.

    Args:
        changes: The keys to change; they are named as options in messages.
        kept: The section of the run; None: it has none.

    Raises:
        RecipeError: a key is out of its range, or two keys contradict each other.
    """
    own = {} if kept is None else kept.model_dump(exclude_unset=True)
    asked = [choice for choice, keys in KEYS_OF_CHOICE.items() if keys & changes.keys()]
    choice = changes.get("choice") or next(iter(asked), own.get("choice", "by-edge"))
    idle = KEYS_OF_CHOICE["by-edge" if choice == "in-context" else "in-context"]
    keys = {key: value for key, value in own.items() if key not in idle}
    try:
        return SymbolicSection.model_validate({**keys, **changes, "choice": choice})
    except ValidationError as error:
        raise RecipeError("; ".join(map(_mistake, error.errors()))) from None


def check_choice(symbolic: SymbolicSection, task: TaskSection, data: DataSection) -> None:
    """Refuse what the search for a formula in context cannot follow.

    Raises:
        RecipeError: the choice is in context, and the recipe asks for more than squared error of one target.
    """
    if symbolic.choice != "in-context":
        return
    faults = {
        '[task] kind = "classification"': task.kind == "classification",
        f'[task] objective = "{task.objective}"': task.objective != "squared_error",
        '[task] target_scale = "log"': task.target_scale == "log",
        "several columns as [data] target": len(data.targets) > 1,
        "[data] weights": data.weights is not None,
    }
    if fault := next((text for text, is_so in faults.items() if is_so), None):
        raise RecipeError(
            f'[symbolic] choice = "in-context": not with {fault}; it is for a regression of one target by squared '
            'error without weights; wanted choice = "by-edge"'
        )


def _mistake(details: Any) -> str:
    option = "".join(f"--{key.replace('_', '-')} {details['input']}: " for key in details["loc"][:1])
    return f"{option}{details['msg'].removeprefix('Value error, ')}"

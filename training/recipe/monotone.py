"""[network] monotone: what it does not go with, refused before any row is read."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from training.errors import quoted, quoted_list

Direction = Literal["up", "down"]
# Of a column of a DataFrame or Parquet file that is true or false; "" is a missing cell.
_TRUTHS = frozenset({"true", "false", ""})


def _check_directions(given: object) -> object:
    """Messages of our own, which name the column."""
    if not isinstance(given, dict):
        raise ValueError(f'got {given!r}; wanted a direction for each column, e.g. {{ age = "up", price = "down" }}')
    for column, direction in given.items():
        if direction not in ("up", "down"):
            raise ValueError(f'{quoted(str(column))} = {direction!r}; wanted "up" or "down"')
    return given


Monotone = Annotated[dict[str, Direction], BeforeValidator(_check_directions)]


def check_monotone(recipe: Any) -> None:
    """Refuse a recipe that asks for monotone inputs and for something that would break the promise.

    Args:
        recipe: With the sections of :class:`training.recipe.config.Recipe`.

    Raises:
        ValueError: with the key, and what was wanted.
    """
    asked = recipe.network.monotone
    if not asked:
        return
    if recipe.network.outside != "clamp":
        raise ValueError(
            f'[network] monotone: not with outside = "{recipe.network.outside}", under which a curve falls to 0 beyond '
            'its domain; wanted "clamp"'
        )
    candidates = () if recipe.search is None else recipe.search.candidates
    levels = [*recipe.network.hidden, *(level for candidate in candidates for level in candidate.hidden or ())]
    if any(isinstance(level, tuple) and level[1] for level in levels):
        raise ValueError(
            "[network] monotone: not with nodes that multiply, because a product of rising factors may fall; wanted "
            "numbers of nodes in hidden"
        )
    for section, reason in (
        ("symbolic", "whose functions and constants may turn; publish the splines, or leave monotone out"),
        ("image", "whose columns are pixels"),
    ):
        if getattr(recipe, section) is not None:
            raise ValueError(f"[network] monotone: not with [{section}], {reason}")
    for column in asked:
        _check_column(recipe.data, column)


def _check_column(data: Any, column: str) -> None:
    if data.path is not None and column not in data.columns:
        raise ValueError(
            f"[network] monotone has {quoted(column)}, which is not in [data] columns; wanted some of "
            f"{quoted_list(data.columns)}"
        )
    if _TRUTHS.issuperset(words := {word.lower() for word in data.categories.get(column, ())}) and words:
        raise ValueError(
            f"[network] monotone has {quoted(column)}, a column of true and false, which are words; wanted 1 and 0 in "
            "their place"
        )
    if column in data.categories or column in data.by_target:
        raise ValueError(
            f"[network] monotone has {quoted(column)}, a column of words, which has no order; wanted one of numbers"
        )
    if column in data.dates:
        raise ValueError(
            f"[network] monotone has {quoted(column)}, a column of dates, whose months and weekdays come again; wanted "
            "one of numbers"
        )

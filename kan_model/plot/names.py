"""How edges and nodes are named and coloured."""

from collections.abc import Sequence

SPLINE_COLOUR, SYMBOLIC_COLOUR = "#1f4e79", "#b3261e"
_NAME_LENGTH = 18


def labels(what: str, given: Sequence[str] | None, count: int, letter: str) -> Sequence[str]:
    """The names given, or a letter with numbers.

    Raises:
        ValueError: another number of names than ``count``.
    """
    if given is None:
        return [f"{letter}{number}" for number in range(1, count + 1)]
    if len(given) != count:
        raise ValueError(f"{what} holds {len(given)} names; wanted {count}")
    return given


def short(name: str, length: int = _NAME_LENGTH) -> str:
    """The name on one line, cut in the middle if it is too long: the names of a table often begin alike."""
    name = " ".join(name.split())
    end = (length - 1) // 2
    return name if len(name) <= length else name[: length - 1 - end] + "…" + name[-end:]

"""Hidden levels of a network as a recipe writes them."""

from typing import Annotated

from pydantic import BeforeValidator


def _check_levels(given: object) -> object:
    """Numbers of nodes, or pairs of them; TOML has lists for pairs."""
    if not isinstance(given, list | tuple):
        raise ValueError(f"got {given!r}; wanted a list of numbers of nodes, e.g. [16, 8]")
    levels = tuple(tuple(level) if isinstance(level, list) else level for level in given)
    for level in levels:
        counts = level if isinstance(level, tuple) and len(level) == 2 else (level,)
        are_counts = all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts)
        if not are_counts or sum(counts) < 1:
            found = list(level) if isinstance(level, tuple) else level
            raise ValueError(
                f"got a level of {found!r} nodes; wanted a number of 1 or more, or [nodes that add, nodes that "
                "multiply] with one node or more, e.g. [4, 2]"
            )
    return levels


# Nodes of hidden levels: a number, or (nodes that add, nodes that multiply).
Levels = Annotated[tuple[int | tuple[int, int], ...], BeforeValidator(_check_levels)]

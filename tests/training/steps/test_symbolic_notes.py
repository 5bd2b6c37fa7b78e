"""What is said of edges that become formulas."""

import pytest

from training.steps.symbolic_notes import foretell


@pytest.mark.parametrize(
    ("edges", "wanted"),
    [
        (1, "symbolic: 1 edge, all functions on each: about 1 s"),
        (50, "symbolic: 50 edges, all functions on each: about 50 s"),
    ],
)
def test_the_time_is_told_beforehand(edges: int, wanted: str) -> None:
    """About a second an edge, as docs/recipes.md says."""
    assert foretell(edges) == wanted


def test_many_edges_are_told_with_what_to_do_instead() -> None:
    """The default network of a table has hundreds: minutes of work for a formula that nobody reads."""
    text = foretell(512)
    assert text.startswith("symbolic: 512 edges, all functions on each: about 9 minutes; ")
    assert "kan-train init --formula" in text

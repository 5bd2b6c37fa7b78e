"""What is said of edges that become formulas."""

import pytest

from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.symbolic.choice import Candidate, EdgeReport
from training.steps.advice import FOR_ESTIMATORS
from training.steps.symbolic_notes import describe_splines, foretell


def nearest(r2: float) -> EdgeReport:
    """A spline from the first column, whose nearest function is a parabola."""
    edge = SymbolicEdge(0, 0, "x^2", 1.0, 0.0, 1.0, 0.0)
    return EdgeReport(0, 0, 0, Candidate(0, edge, r2, 2, 0.0), fixed=False)


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


@pytest.mark.parametrize(
    ("r2", "bound"), [(0.932, "0.93"), (0.93, "0.92"), (0.9309, "0.92"), (0.99999, "0.99"), (0.802, "0.8")]
)
def test_the_bound_that_would_take_a_function_has_two_digits(r2: float, bound: str) -> None:
    """It is below R² by 0.001 at least, so that R² as it is printed, and the same fit again, meet it."""
    text = describe_splines([nearest(r2)], ["rooms"])
    assert text == (
        f"still splines: layer 0 from rooms to 0 (nearest: x^2, R² {r2:.3f}; min_r2 = {bound} would take it)"
        f"; to take all of them: kan-train formula RUN --min-r2 {bound}"
    )


def test_a_function_that_is_far_is_not_advised() -> None:
    """R² below 0.8 is no formula of the edge; then nothing takes all of them, though a bound takes the other one."""
    assert describe_splines([nearest(0.79)], ["rooms"]).endswith("(nearest: x^2, R² 0.790)")
    both = describe_splines([nearest(0.95), nearest(0.79)], ["rooms"])
    assert "min_r2 = 0.94 would take it" in both
    assert "to take all of them" not in both


def test_the_advice_is_in_the_words_of_the_reader() -> None:
    """An estimator is given arguments, and no command."""
    text = describe_splines([nearest(0.93)], ["rooms"], FOR_ESTIMATORS)
    assert text.endswith('; to take all of them: fit with recipe={"symbolic": {"min_r2": 0.92}}')
    assert "kan-train" not in foretell(512, FOR_ESTIMATORS)

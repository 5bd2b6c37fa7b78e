"""What may be a symbolic edge."""

import math

import pytest

from kan_model.network.functions import FUNCTIONS
from kan_model.network.symbolic_edge import SymbolicEdge


def test_an_unknown_function_is_refused_with_the_list() -> None:
    """The error says where, what came and every name there is."""
    with pytest.raises(ValueError, match=r"input 2 .*'sine'") as caught:
        SymbolicEdge(1, 2, "sine", 1.0, 0.0, 1.0, 0.0)
    assert str(caught.value).endswith(", ".join(FUNCTIONS))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_by_name(place: int, value: float) -> None:
    """Each of a, b, c and d."""
    numbers = [1.0, 0.0, 1.0, 0.0]
    numbers[place] = value
    with pytest.raises(ValueError, match=rf"{'abcd'[place]} is {value}"):
        SymbolicEdge(0, 3, "sin", *numbers)


def test_the_four_numbers_come_in_the_order_of_the_formula() -> None:
    """c·f(a·x + b) + d: a, b, c, d."""
    assert SymbolicEdge(0, 0, "sin", 1.0, 2.0, 3.0, 4.0).affine == (1.0, 2.0, 3.0, 4.0)

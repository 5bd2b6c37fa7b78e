"""Tensors that do not make a layer."""

import math

import pytest
import torch

from kan_model import KANLayer
from kan_model.network.part_checks import check_finite
from kan_model.network.products import Products
from kan_model.network.symbolic_edge import SymbolicEdge


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outside": "wrap"}, "outside is 'wrap'"),
        ({"base_weight": torch.zeros(2, 4)}, "base_weight has shape"),
        ({"coefficients": torch.zeros(2, 3, 2)}, "coefficients have shape"),
        ({"domain": torch.tensor([[0.0, 1], [1.0, 1], [0.0, 1]])}, "feature 1"),
        ({"domain": None}, "either domain"),
        ({"edge_mask": torch.ones(5, 5)}, "edge_mask has shape"),
        ({"bias": torch.zeros(3)}, r"bias .*\(3,\)"),
        ({"domain": None, "knots": torch.arange(11.0).repeat(3, 1)}, "11 knots per input; wanted 12"),
        ({"symbolic": [SymbolicEdge(2, 0, "x", 1, 0, 1, 0)]}, "to output 2; wanted"),
        ({"symbolic": [SymbolicEdge(0, -1, "x", 1, 0, 1, 0)]}, "from input -1"),
        ({"symbolic": [SymbolicEdge(1, 2, f, 1, 0, 1, 0) for f in ("x", "sin")]}, "2 symbolic edges"),
        ({"symbolic": [SymbolicEdge(1, 2, "x", 1, 0, 1e39, 0)]}, r"c=1e\+39.* cannot hold"),
        ({"products": Products(((0, 1), (2,)))}, "products are of 3 sums; wanted 2"),
        ({"directions": torch.ones(3, 2)}, r"directions have shape \(3, 2\)"),
        ({"directions": torch.full((2, 3), 2)}, "values from 2 to 2; wanted"),
        ({"directions": torch.ones(2, 3), "outside": "decay"}, 'outside = "decay"; wanted "clamp"'),
        (
            {"directions": torch.ones(2, 3), "products": Products(((0, 1),))},
            "multiplies sums of edges with a direction",
        ),
        (
            {"directions": torch.ones(2, 3), "symbolic": [SymbolicEdge(1, 2, "x", 1, 0, 1, 0)]},
            r"the edge \(1, 2\) has a direction and a formula",
        ),
        ({"degree": 6, "coefficients": torch.zeros(2, 3, 11)}, "degree is 6"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    """The error says what came and what was wanted."""
    parts: dict[str, object] = {
        "base_weight": torch.zeros(2, 3),
        "coefficients": torch.zeros(2, 3, 8),
        "degree": 3,
        "outside": "clamp",
        "domain": torch.tensor([[0.0, 1]] * 3),
    }
    with pytest.raises(ValueError, match=message):
        KANLayer(**(parts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    """The error names the tensor, counts the numbers and says where the first one is; None is left out."""
    weight = torch.zeros(2, 3)
    weight[1, 1:] = number
    with pytest.raises(ValueError, match=r"base_weight has 2 numbers that are not finite, first at \[1, 1\]"):
        check_finite(bias=None, edge_mask=torch.ones(2, 3), base_weight=weight)

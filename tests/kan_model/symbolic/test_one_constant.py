"""All constants of a sum in its bias: the same network, and one that float32 can compute."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kan_model import KAN
from kan_model.lowering import lower
from kan_model.network.layer import KANLayer
from kan_model.network.products import Products
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.onnx_runtime import run
from kan_model.symbolic.one_constant import gather_constants

F64 = torch.float64
_LARGE = 251655.5


def formulas(edges: Sequence[SymbolicEdge], inputs: int, bias: Tensor | None, products: Products | None) -> KANLayer:
    """A layer of as many sums as inputs, without splines."""
    base, coefficients = torch.zeros(inputs, inputs, dtype=F64), torch.zeros(inputs, inputs, 2, dtype=F64)
    domain = torch.tensor([[-1.0, 1.0]] * inputs, dtype=F64)
    return KANLayer(
        base,
        coefficients,
        degree=1,
        outside="clamp",
        domain=domain,
        edge_mask=torch.zeros_like(base),
        symbolic=edges,
        bias=bias,
        products=products,
    )


def quotient() -> KAN:
    """(−a − 251655.5 + 251655.75)·3/(b² + 2), as a search found a/(1 + b²): a pruned edge left the bias."""
    first = [SymbolicEdge(0, 1, "x^2", 1.0, 0.0, 1.0, 2.0), SymbolicEdge(1, 0, "x", 1.0, 0.0, 1.0, 0.0)]
    second = [SymbolicEdge(0, 1, "x", 1.0, 0.0, -1.0, -_LARGE), SymbolicEdge(1, 0, "1/x", 1.0, 0.0, 3.0, 0.0)]
    bias = torch.tensor([_LARGE + 0.25, 0.0], dtype=F64)
    return KAN.of_layers([formulas(first, 2, None, None), formulas(second, 2, bias, Products(((0, 1),)))])


def test_the_network_is_the_same_and_float32_can_compute_it() -> None:
    """Constants that cancel cost a graph its digits; as one constant they do not, and no edge has one of its own."""
    rows = np.random.default_rng(0).uniform(-1, 1, (200, 2)).astype(np.float32)
    a, b = rows.astype(np.float64).T
    truth = (0.25 - a) * 3 / (b**2 + 2)
    found = gather_constants(quotient())
    assert not any(edge.d for layer in found.layers for edge in layer.symbolic)
    for kan in (quotient(), found):
        with torch.no_grad():
            answers = kan(torch.from_numpy(rows).double())[:, 0].numpy()
        np.testing.assert_allclose(answers, truth, atol=1e-9)
    lost, kept = (
        np.abs(run(lower(kan, tolerance=1.0, tune_for=()).model, rows)[:, 0] - truth).max()
        for kan in (quotient(), found)
    )
    assert kept < 1e-6 < 1e-3 < lost


def test_a_network_without_constants_of_edges_stays_as_it_is() -> None:
    """No layer gets a bias that it does not need."""
    layer = formulas([SymbolicEdge(0, 0, "x", 2.0, 0.0, 1.0, 0.0)], 1, None, None)
    assert gather_constants(KAN.of_layers([layer])).layers[0].bias is None

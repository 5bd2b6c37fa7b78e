"""Fitted curves and pairs as a network: one layer of curves, and a second one that adds the nodes of pairs to it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kan_model import KAN
from kan_model.network.layer import KANLayer
from kan_model.network.products import products_of
from kan_model.network.symbolic_edge import SymbolicEdge
from training.additive.pairs.nodes import Factors, factors_of
from training.additive.terms import Terms


def network_of(
    terms: Terms, coefficients: Tensor, dtype: torch.dtype, ways: Tensor | None = None, least: Sequence[float] = ()
) -> KAN:
    """The network whose edges are the curves: no base branch, and a bias that is the constant.

    With pairs the first layer has further sums, whose products are nodes, and a second layer of edges x adds these
    nodes to the sums of the curves.

    Args:
        terms: The terms.
        coefficients: ``[coefficients, outputs of the fit]``.
        dtype: Of the network.
        ways: ``[outputs, outputs of the fit]``: from the outputs of the fit to those of the network; None: the same.
        least: For each output of the fit: nodes of pairs that are smaller over the rows are left out; (): 0.
    """
    ways = torch.eye(coefficients.shape[1], dtype=torch.float64) if ways is None else ways
    numbers = (terms.raw[: terms.single] @ coefficients @ ways.T).T
    bounds = least or [0.0] * coefficients.shape[1]
    nodes = [factors_of(terms, *each) for each in zip(coefficients.T, bounds, strict=True)] if terms.pairs else []
    made = _layer(terms, numbers, [each for some in nodes for each in some], dtype)
    layers = [made] if made.products is None else [made, _adding(ways, [len(some) for some in nodes], made)]
    return KAN.of_layers(layers)


def _layer(terms: Terms, numbers: Tensor, nodes: Sequence[Factors], dtype: torch.dtype) -> KANLayer:
    """The layer with a node for each line of ``numbers``, and these nodes behind them."""
    outputs, layer = len(numbers), terms.layer
    factors = [factor for node in nodes for factor in (node.first, node.second)]
    numbers = torch.cat([numbers, torch.stack(factors)]) if factors else numbers
    splines, mask = _splines(terms, numbers)
    # Curves that are 0 are there, so that each column has its curve; a factor has the edges of its column only.
    mask[:outputs, [*terms.curves, *terms.lines]] = 1.0
    plain = [(place,) for place in range(outputs)]
    pairs = [(outputs + 2 * place, outputs + 2 * place + 1) for place in range(len(nodes))]
    return KANLayer(
        torch.zeros_like(mask).to(dtype),
        splines.to(dtype),
        degree=layer.degree,
        outside=layer.outside,
        knots=layer.all_knots().to(dtype),
        edge_mask=mask.to(dtype),
        bias=numbers[:, 0].to(dtype),
        products=products_of([*plain, *pairs]),
    )


def _splines(terms: Terms, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients ``[sums, inputs, functions]`` and mask ``[sums, inputs]`` of the edges with some number but 0."""
    layer, functions = terms.layer, terms.functions
    curved = 1 + functions * len(terms.curves)
    splines = torch.zeros(len(numbers), layer.inputs, functions, dtype=torch.float64)
    splines[:, list(terms.curves)] = numbers[:, 1:curved].reshape(len(numbers), len(terms.curves), functions)
    knots = layer.all_knots()
    # The line x has these coefficients: the Greville abscissae.
    abscissae = knots[:, 1:-1].unfold(1, layer.degree, 1).mean(dim=-1)[list(terms.lines)]
    splines[:, list(terms.lines)] = numbers[:, curved:, None] * (abscissae - terms.means[:, None])
    return splines, (splines != 0).any(dim=2).double()


def _adding(ways: Tensor, counts: Sequence[int], before: KANLayer) -> KANLayer:
    """The layer that adds the nodes of pairs to the sums of the curves.

    Args:
        ways: ``[outputs, outputs of the fit]``.
        counts: For each output of the fit its number of nodes.
        before: The layer of these nodes.
    """
    outputs = len(ways)
    edges = [SymbolicEdge(output, output, "x", 1.0, 0.0, 1.0, 0.0) for output in range(outputs)]
    node = outputs
    for fitted, count in enumerate(counts):
        edges += [
            SymbolicEdge(output, place, "x", 1.0, 0.0, float(ways[output, fitted]), 0.0)
            for output in range(outputs)
            for place in range(node, node + count)
            if ways[output, fitted] != 0
        ]
        node += count
    none = before.base_weight.detach().new_zeros(outputs, node)
    return KANLayer(
        none,
        none.new_zeros(outputs, node, before.degree + 1),
        degree=before.degree,
        outside=before.outside,
        domain=none.new_tensor([[-1.0, 1.0]]).expand(node, 2),
        edge_mask=torch.zeros_like(none),
        symbolic=edges,
    )


def covariances_of(terms: Terms, inverse: Tensor, noise: float) -> Tensor:
    """The covariances of the coefficients of each input's curve, ``[inputs, functions, functions]``; 0 for lines.

    Args:
        terms: The terms.
        inverse: (XᵀWX + Λ)⁻¹.
        noise: The variance of the noise.
    """
    found = torch.zeros(terms.layer.inputs, terms.functions, terms.functions, dtype=torch.float64)
    for place, input_ in enumerate(terms.curves):
        own = terms.raw[1 + place * terms.functions : 1 + (place + 1) * terms.functions]
        found[input_] = noise * own @ inverse @ own.T
    return found

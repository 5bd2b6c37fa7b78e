"""What the tests of the lowering share: rows of all kinds, float64's answers, networks with every kind of edge."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import KANLayer
from kan_model.network.symbolic_edge import SymbolicEdge

Rows = NDArray[np.float32]
Values = NDArray[np.float64]


@pytest.fixture(scope="session")
def float64_answers() -> Callable[[KAN, Rows], Values]:
    """The network in float64, fed float32 rows."""

    def answers(kan: KAN, rows: Rows) -> Values:
        with torch.no_grad():
            result: Values = copy.deepcopy(kan).double()(torch.from_numpy(rows).double()).numpy()
        return result

    return answers


@pytest.fixture(scope="session")
def rows_of_all_kinds() -> Callable[[KAN], Rows]:
    """Rows inside the domain, on its knots, at its ends, 3 domains outside, and with one feature up to 1e6."""

    def rows(kan: KAN) -> Rows:
        random = np.random.default_rng(0)
        layer = kan.layers[0]
        features = layer.inputs
        low, high = layer.domain.double().numpy().T
        knots = layer.all_knots().detach().double().numpy().T
        inside = low + (high - low) * random.random((50, features))
        outside = (low + high) / 2 + 3 * (high - low) * random.uniform(-1, 1, (50, features))
        ends = np.where(random.random((8, features)) < 0.5, low, high)
        mixed_knots = np.take_along_axis(knots, random.integers(len(knots), size=(30, features)), axis=0)
        far = inside[:12].copy()
        far[np.arange(12), np.arange(12) % features] = random.choice([-1, 1], 12) * 10 ** random.uniform(1, 6, 12)
        return np.concatenate([inside, knots, mixed_knots, ends, outside, far, 0 * ends[:1]]).astype(np.float32)

    return rows


@pytest.fixture(scope="session")
def written_by() -> Callable[[KAN, Strategy], list[Strategy]]:
    """The strategy for each layer that it applies to, Cox–de Boor for the others."""

    def strategies(kan: KAN, strategy: Strategy) -> list[Strategy]:
        return [strategy if strategy.applies(layer) else CoxDeBoor() for layer in kan.layers]

    return strategies


@pytest.fixture(scope="session")
def with_mask() -> Callable[[KANLayer, NDArray[np.bool_]], KANLayer]:
    """The layer with these edges ([outputs, inputs]) only."""

    def masked(layer: KANLayer, mask: NDArray[np.bool_]) -> KANLayer:
        result = copy.deepcopy(layer)
        result.edge_mask = torch.from_numpy(mask).to(layer.edge_mask)
        return result

    return masked


@pytest.fixture(scope="session")
def with_every_kind_of_edge(
    with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer],
) -> Callable[[KAN], KAN]:
    """A copy of a [3, 4, 2] network with splines, pruned edges and symbolic edges, also on the same input and node.

    Nobody reads input 1. Nothing feeds hidden node 2, which is read; hidden node 3 is fed and not read.
    """

    def changed(kan: KAN) -> KAN:
        assert kan.width == (3, 4, 2)
        first = with_mask(kan.layers[0], np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]], bool))
        second = with_mask(kan.layers[1], np.array([[1, 1, 1, 0], [0, 1, 0, 0]], bool))
        return KAN.of_layers([first.with_symbolic(_FIRST), second.with_symbolic(_SECOND)])

    return changed


@pytest.fixture(scope="session")
def in_blocks() -> Callable[..., KAN]:
    """A copy of a [3, 12, 9, 2] network whose middle layer has the blocks of inputs and outputs of `BLOCKS`.

    ``scattered`` gives the blocks nodes that are not neighbours. ``symbolic`` replaces two edges of the second block.
    """

    def changed(kan: KAN, *, scattered: bool = False, symbolic: bool = False) -> KAN:
        assert kan.width == (3, 12, 9, 2)
        mask = torch.block_diag(*(torch.ones(outputs, inputs) for inputs, outputs in BLOCKS)).to(kan.dtype)  # type: ignore[no-untyped-call]
        edges = [SymbolicEdge(3, 4, "sin", 1.5, 0.25, 0.5, -0.125), SymbolicEdge(2, 5, "x^2", 1.0, 0.0, 0.25, 0.5)]
        middle = kan.layers[1].changed(edge_mask=mask, symbolic=edges if symbolic else ())
        if scattered:
            random = np.random.default_rng(1)
            middle = _in_order(middle, random.permutation(12), random.permutation(9))
        return KAN.of_layers([kan.layers[0], middle, kan.layers[2]])

    return changed


def _in_order(layer: KANLayer, inputs: NDArray[np.int64], outputs: NDArray[np.int64]) -> KANLayer:
    """The layer with its nodes in another order."""
    rows = np.ix_(outputs, inputs)
    places = [
        replace(each, input=int(np.argmax(inputs == each.input)), output=int(np.argmax(outputs == each.output)))
        for each in layer.symbolic
    ]
    return layer.changed(
        base_weight=layer.base_weight.detach()[rows],
        coefficients=layer.coefficients.detach()[rows],
        edge_mask=layer.edge_mask[rows],
        symbolic=places,
    )


# Inputs and outputs of each block: 12 inputs, 9 outputs.
BLOCKS = ((4, 2), (2, 3), (5, 3), (1, 1))

_FIRST: Sequence[SymbolicEdge] = (
    SymbolicEdge(1, 0, "sin", 1.5, 0.25, 0.5, -0.125),
    SymbolicEdge(1, 2, "x^2", 1.0, 0.0, 0.25, 0.0),
    SymbolicEdge(0, 2, "x^3", 1.0, 0.0, 0.1, 0.5),
)
_SECOND: Sequence[SymbolicEdge] = (
    SymbolicEdge(1, 0, "tanh", 0.75, 0.5, 1.0, 0.0),
    SymbolicEdge(1, 2, "exp", 0.5, 0.0, 0.3, 0.0),
)

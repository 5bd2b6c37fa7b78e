"""Pruned nodes are gone, and the function is the same."""

import copy
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kan_model import KAN, KANConfig
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.emit.pruned import Compact, remove_pruned
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.connections import select_nodes
from kan_model.network.layer import KANLayer, Outside
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.onnx_runtime import run

Rows = NDArray[np.float32]
Values = NDArray[np.float64]
WithMask = Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
Answers = Callable[[KAN, Rows], Values]


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(
    width=st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple),
    kept=st.sampled_from([0.0, 0.2, 0.4, 0.7, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_pruned_network_is_the_same_function(
    width: tuple[int, ...], kept: float, seed: int, with_mask: WithMask
) -> None:
    """In float64, whatever edges are left: unread inputs, unread and unfed hidden nodes, nothing at all."""
    random = np.random.default_rng(seed)
    kan = pruned(KAN(KANConfig(width, noise=0.5), dtype=torch.float64), with_mask, random, kept)
    x = torch.from_numpy(random.uniform(-2, 2, (20, width[0])))
    with torch.no_grad():
        torch.testing.assert_close(answers_of(remove_pruned(kan), x), kan(x), rtol=1e-12, atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(
    kept=st.sampled_from([0.1, 0.3, 0.6]),
    outside=st.sampled_from(["clamp", "decay"]),
    strategy=st.sampled_from(STRATEGIES),
    seed=st.integers(0, 2**32 - 1),
)
def test_graphs_of_pruned_networks_answer_the_same(
    kept: float, outside: Outside, strategy: Strategy, seed: int, with_mask: WithMask, float64_answers: Answers
) -> None:
    """Graphs of pruned networks answer the same with every strategy, within float32."""
    random = np.random.default_rng(seed)
    kan = pruned(KAN(KANConfig((4, 3, 3, 2), grid_size=6, outside=outside, noise=0.5)), with_mask, random, kept)
    strategies = [strategy if strategy.applies(layer) else STRATEGIES[-1] for layer in kan.layers]
    rows = random.uniform(-3, 3, (40, 4)).astype(np.float32)
    got = run(predicting_model(kan, None, None, strategies), rows)
    np.testing.assert_allclose(got, float64_answers(kan, rows), atol=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_pruned_nodes_cost_nothing(strategy: Strategy, with_mask: WithMask) -> None:
    """The graph of a pruned [6, 5, 2] has the shapes of a [2, 3, 2] of the same strategy, and one Gather more."""
    domain = tuple((-1.0 - i, 2.0 + i) for i in range(6))
    layers = KAN(KANConfig((6, 5, 2), grid_size=9, domain=domain)).layers
    first, second = np.zeros((5, 6), bool), np.zeros((2, 5), bool)
    first[np.ix_([0, 2, 3], [1, 4])] = True
    second[:, [0, 2, 3]] = True
    large = KAN.of_layers([with_mask(layers[0], first), with_mask(layers[1], second)])
    small = KAN(KANConfig((2, 3, 2), grid_size=9, domain=(domain[1], domain[4])))
    assert remove_pruned(large).nodes[0].tolist() == [1, 4]
    graphs = [predicting_model(kan, None, None, [strategy] * 2).graph for kan in (large, small)]
    operators = [Counter(node.op_type for node in graph.node) for graph in graphs]
    assert operators[0] - operators[1] == Counter({"Gather": 1})
    assert not operators[1] - operators[0]
    shapes = [Counter(tuple(t.dims) for t in graph.initializer if t.data_type == t.FLOAT) for graph in graphs]
    assert shapes[0] == shapes[1]


def test_a_constant_node_reaches_further_layers(with_mask: WithMask, float64_answers: Answers) -> None:
    """A hidden node that nothing feeds is 0, its edges φ(0), and what they feed alone is a constant again."""
    kan = KAN(KANConfig((2, 2, 2, 1), noise=0.5), dtype=torch.float64)
    masks = [np.array([[1, 1], [0, 0]], bool), np.array([[1, 0], [0, 1]], bool), np.array([[1, 1]], bool)]
    kan = KAN.of_layers([with_mask(layer, mask) for layer, mask in zip(kan.layers, masks, strict=True)])
    compact = remove_pruned(kan)
    assert [len(nodes) for nodes in compact.nodes] == [2, 1, 1, 1]
    x = torch.zeros(1, 1, dtype=torch.float64)
    with torch.no_grad():
        start = kan.layers[0].base_weight.new_zeros(1, 2)
        once = kan.layers[1].edge_outputs(start)[0, 1, 1]
        twice = kan.layers[2].edge_outputs(torch.stack([x[0, 0], once])[None])[0, 0, 1]
    assert once.abs() > 1e-3
    np.testing.assert_allclose(compact.constant(2), [twice.item()], rtol=1e-12)
    rows = np.array([[0.5, -0.25], [3, 1]], np.float32)
    got = run(predicting_model(kan, None, None, [STRATEGIES[0]] * 3), rows)
    np.testing.assert_allclose(got, float64_answers(kan, rows), atol=1e-5)


def test_a_constant_node_that_stays_feeds_nodes_that_do_not(with_mask: WithMask) -> None:
    """A layer whose nodes are all constant keeps its first one; what it feeds, and what that feeds, counts."""
    kan = KAN(KANConfig((1, 1, 2, 1), noise=0.5), dtype=torch.float64)
    masks = ([[0]], [[0], [1]], [[1, 1]])
    kan = KAN.of_layers([with_mask(layer, np.array(m, bool)) for layer, m in zip(kan.layers, masks, strict=True)])
    compact = remove_pruned(kan)
    assert [nodes.tolist() for nodes in compact.nodes] == [[0], [0], [0], [0]]
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    with torch.no_grad():
        torch.testing.assert_close(answers_of(compact, x), kan(x), rtol=1e-12, atol=1e-12)
        assert kan(x).abs().min() > 1e-3


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_network_without_edges_answers_zero(strategy: Strategy, with_mask: WithMask) -> None:
    """Everything pruned: the graph still stands, and adds up nothing."""
    kan = KAN(KANConfig((3, 4, 2), grid_size=8))
    kan = KAN.of_layers([with_mask(layer, np.zeros((layer.outputs, layer.inputs), bool)) for layer in kan.layers])
    rows = np.array([[1, 2, 3], [-1e6, 0, 1e6]], np.float32)
    np.testing.assert_array_equal(run(predicting_model(kan, None, None, [strategy] * 2), rows), np.zeros((2, 2)))


def test_nodes_that_nobody_reads_may_be_infinite(make_kan: Callable[..., KAN], with_mask: WithMask) -> None:
    """An infinite node that no edge reads, such as log(0), has no effect: 0 · NaN of a pruned edge does not count."""
    kan = make_kan((2, 2, 1))
    first = with_mask(kan.layers[0], np.array([[1, 0], [0, 0]], bool))
    first = first.with_symbolic([SymbolicEdge(1, 1, "log", 1, 0, 1, 0)])
    kan = KAN.of_layers([first, with_mask(kan.layers[1], np.array([[1, 0]], bool))])
    rows = np.array([[0.5, 0], [0.5, -1]], np.float32)
    got = run(predicting_model(kan, None, None, [STRATEGIES[0]] * 2), rows)
    with torch.no_grad():
        hidden = kan.layers[0](torch.tensor([[0.5, 1]], dtype=torch.float64))
        wanted = kan.layers[1](hidden).numpy()
    np.testing.assert_allclose(got, np.repeat(wanted, 2, axis=0), atol=1e-6)


def test_a_constant_node_that_is_infinite_stays_on_its_own_edges(with_mask: WithMask) -> None:
    """1/0 of an unfed node spoils the output that reads it, and no other: 0 · ∞ of a pruned edge is no edge."""
    kan = KAN(KANConfig((1, 2, 2, 2)), dtype=torch.float64)
    alone = np.array([[1, 0], [0, 0]], bool)
    first, second, third = (
        with_mask(kan.layers[0], alone[:, :1]),
        with_mask(kan.layers[1], alone).with_symbolic([SymbolicEdge(1, 1, "1/x", 1, 0, 1, 0)]),
        with_mask(kan.layers[2], alone).with_symbolic([SymbolicEdge(1, 1, "abs", 1, 0, 1, 0)]),
    )
    kan = KAN.of_layers([first, second, third])
    rows = np.array([[0.5]], np.float32)
    got = run(predicting_model(kan, None, None, [STRATEGIES[0]] * 3), rows)
    with torch.no_grad():
        hidden = first(torch.from_numpy(rows).double())[:, :1]
        hidden = second.edge_outputs(torch.cat([hidden, hidden], dim=1))[:, :1, 0]
        wanted = third.edge_outputs(torch.cat([hidden, hidden], dim=1))[0, 0, 0].item()
    assert got[0, 0] == pytest.approx(wanted, abs=1e-6)
    assert not np.isfinite(got[0, 1])


def test_a_part_of_a_layer_is_its_edges_between_those_nodes(make_kan: Callable[..., KAN]) -> None:
    """Uniform or not, symbolic edges renumbered; a whole layer is itself."""
    for uneven in (False, True):
        layer = make_kan(uneven=uneven).layers[0]
        layer = layer.with_symbolic([SymbolicEdge(3, 2, "sin", 1, 2, 3, 4), SymbolicEdge(0, 0, "exp", 1, 0, 1, 0)])
        inputs, outputs = np.array([1, 2]), np.array([0, 3])
        part = select_nodes(layer, inputs, outputs)
        x = torch.linspace(-2, 2, 30, dtype=torch.float64).reshape(10, 3)
        with torch.no_grad():
            wanted = layer.edge_outputs(x)[:, [0, 3]][:, :, [1, 2]]
            torch.testing.assert_close(part.edge_outputs(x[:, 1:]), wanted, rtol=0, atol=0)
        assert [edge.function for edge in part.symbolic] == ["sin"]
        assert select_nodes(layer, np.arange(3), np.arange(4)) is layer


def pruned(kan: KAN, with_mask: WithMask, random: np.random.Generator, kept: float) -> KAN:
    """The network with this share of its edges, and biases on some layers."""
    layers = [with_mask(layer, random.random((layer.outputs, layer.inputs)) < kept) for layer in kan.layers]
    biased = [
        layer.changed(bias=torch.from_numpy(random.normal(size=layer.outputs)).to(layer.domain))
        if random.random() < 0.5
        else layer
        for layer in layers
    ]
    return KAN.of_layers(biased)


def answers_of(compact: Compact, x: torch.Tensor) -> torch.Tensor:
    """What the compact network says."""
    x = x[:, torch.from_numpy(compact.nodes[0])]
    for index, layer in enumerate(compact.layers):
        x = copy.deepcopy(layer).double()(x) + torch.from_numpy(compact.constant(index))
    return x

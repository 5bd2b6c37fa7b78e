"""explain.onnx: every edge's output beside the same prediction."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kan_model import KAN, KANConfig
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import explaining_model, predicting_model
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import KANLayer, Outside
from kan_model.network.transform import InputTransform, Softmax
from kan_model.onnx_runtime import open_session, run

Rows = NDArray[np.float32]
Values = NDArray[np.float64]
WrittenBy = Callable[[KAN, Strategy], list[Strategy]]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("every_kind", [False, True])
def test_edges_are_those_of_the_network(
    strategy: Strategy,
    outside: Outside,
    uneven: bool,
    every_kind: bool,
    make_kan: Callable[..., KAN],
    written_by: WrittenBy,
    with_every_kind_of_edge: Callable[[KAN], KAN],
) -> None:
    """[rows, outputs, inputs] of each layer, up to 3 domains outside, pruned and symbolic edges in their places.

    They sum to the nodes, and the prediction is the predicting model's.
    """
    kan = make_kan(outside=outside, uneven=uneven, grid_size=7, degree=2)
    kan = with_every_kind_of_edge(kan) if every_kind else kan
    strategies = written_by(kan, strategy)
    rows = np.random.default_rng(0).uniform(-3, 3, (60, 3)).astype(np.float32)
    model = explaining_model(kan, None, None, strategies)
    assert [output.name for output in model.graph.output] == ["prediction", "layer0_edges", "layer1_edges"]
    prediction, *edges = open_session(model).run(rows)
    wanted = edges_of(kan, rows)
    if every_kind:
        # Nothing reads hidden node 3.
        wanted[0][:, 3] = 0
    # Narrow intervals cost radial powers digits (test_strategies: how many); an edge out of place is off by a tenth.
    atol = 3e-3 if uneven and isinstance(strategy, RadialPowers) else 5e-5
    for got, each in zip(edges, wanted, strict=True):
        assert got.shape == each.shape
        np.testing.assert_allclose(got, each, rtol=3e-5, atol=atol)
    np.testing.assert_allclose(edges[1].sum(axis=2), prediction, rtol=1e-5, atol=1e-5)
    predicted = run(predicting_model(kan, None, None, strategies), rows)
    np.testing.assert_allclose(prediction, predicted, rtol=3e-5, atol=atol)


@settings(deadline=None, max_examples=40)
@given(kept=st.sampled_from([0.1, 0.3, 0.6]), seed=st.integers(0, 2**32 - 1))
def test_any_pruned_network_is_explained(
    kept: float, seed: int, with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """For any pruned network, edges to nodes that an answer depends on are the network's."""
    random = np.random.default_rng(seed)
    layers = KAN(KANConfig((3, 3, 3, 2), noise=0.5), dtype=torch.float64).layers
    masks = [random.random((layer.outputs, layer.inputs)) < kept for layer in layers]
    kan = KAN.of_layers([with_mask(layer, mask) for layer, mask in zip(layers, masks, strict=True)])
    rows = random.uniform(-2, 2, (10, 3)).astype(np.float32)
    prediction, *edges = open_session(explaining_model(kan, None, None, [STRATEGIES[0]] * 3)).run(rows)
    read = np.ones(2, bool)
    for got, wanted, mask in zip(edges[::-1], edges_of(kan, rows)[::-1], masks[::-1], strict=True):
        np.testing.assert_allclose(got[:, read], wanted[:, read], atol=1e-4)
        read = np.any(mask[read], axis=0)
    np.testing.assert_allclose(edges[-1].sum(axis=2), prediction, atol=1e-5)


def edges_of(kan: KAN, rows: Rows) -> list[Values]:
    """Each layer's edge outputs in float64."""
    result: list[Values] = []
    x = torch.from_numpy(rows).double()
    with torch.no_grad():
        for layer in kan.layers:
            edges = layer.edge_outputs(x)
            result.append(edges.numpy())
            x = edges.sum(dim=2)
    return result


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_missing_value_marks_its_own_edges(
    strategy: Strategy, make_kan: Callable[..., KAN], written_by: WrittenBy
) -> None:
    """In the first layer only the edges of the missing feature are NaN."""
    kan = make_kan(grid_size=8)
    rows = np.zeros((2, 3), np.float32)
    rows[1, 2] = np.nan
    prediction, first, _ = open_session(explaining_model(kan, None, None, written_by(kan, strategy))).run(rows)
    assert np.isnan(prediction).all(axis=1).tolist() == [False, True]
    expected = np.zeros(first.shape, bool)
    expected[1, :, 2] = True
    np.testing.assert_array_equal(np.isnan(first), expected)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
def test_a_layer_without_edges_explains_nothing(
    strategy: Strategy, make_kan: Callable[..., KAN], with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """If everything is pruned, the edges are zeros of the right shapes."""
    kan = make_kan((2, 3, 1), grid_size=9)
    kan = KAN.of_layers([with_mask(layer, np.zeros((layer.outputs, layer.inputs), bool)) for layer in kan.layers])
    outputs = open_session(explaining_model(kan, None, None, [strategy] * 2)).run(np.ones((4, 2), np.float32))
    assert [output.shape for output in outputs] == [(4, 1), (4, 3, 2), (4, 1, 3)]
    assert not any(output.any() for output in outputs)


def test_constant_nodes_are_explained(
    make_kan: Callable[..., KAN], with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """φ(0) of a hidden node that nothing feeds stands on its edge, and its sum in the prediction."""
    kan = make_kan((2, 2, 1))
    kan = KAN.of_layers([with_mask(kan.layers[0], np.array([[1, 1], [0, 0]], bool)), kan.layers[1]])
    rows = np.array([[0.25, -0.5]], np.float32)
    prediction, first, second = open_session(explaining_model(kan, None, None, [STRATEGIES[0]] * 2)).run(rows)
    wanted = edges_of(kan, rows)
    assert abs(wanted[1][0, 0, 1]) > 1e-3
    np.testing.assert_allclose(first, wanted[0], atol=1e-5)
    np.testing.assert_allclose(second, wanted[1], atol=1e-5)
    np.testing.assert_allclose(prediction, wanted[1].sum(axis=2), atol=1e-5)


def test_edges_between_constant_nodes_are_explained(
    make_kan: Callable[..., KAN], with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """Also from one that stays as the only node of its layer to one that does not."""
    masks = ([[0]], [[0], [1]], [[1, 1]])
    layers = make_kan((1, 1, 2, 1)).layers
    kan = KAN.of_layers([with_mask(layer, np.array(m, bool)) for layer, m in zip(layers, masks, strict=True)])
    rows = np.array([[0.25], [1]], np.float32)
    prediction, *edges = open_session(explaining_model(kan, None, None, [STRATEGIES[0]] * 3)).run(rows)
    wanted = edges_of(kan, rows)
    assert abs(wanted[1][0, 1, 0]) > 1e-3
    for got, each in zip(edges, wanted, strict=True):
        np.testing.assert_allclose(got, each, atol=1e-5)
    np.testing.assert_allclose(prediction, wanted[-1].sum(axis=2), atol=1e-5)


def test_edges_are_those_of_scaled_inputs_and_logits(make_kan: Callable[..., KAN]) -> None:
    """Transforms stand before and behind them; the answers go by the name of probabilities."""
    kan = make_kan((2, 3))
    inputs = InputTransform(
        np.array([10, 0], np.float32), np.array([0.1, 2], np.float32), np.array([12, 1], np.float32)
    )
    model = explaining_model(kan, inputs, Softmax(), [STRATEGIES[0]])
    assert [output.name for output in model.graph.output] == ["probabilities", "layer0_edges"]
    probabilities, edges = open_session(model).run(np.array([[11, np.nan], [4, -0.5]], np.float32))
    wanted = edges_of(kan, np.array([[0.1, 2], [-0.6, -1]], np.float32))[0]
    np.testing.assert_allclose(edges, wanted, atol=1e-5)
    logits = torch.from_numpy(wanted.sum(axis=2))
    np.testing.assert_allclose(probabilities, torch.softmax(logits, dim=1), atol=1e-5)


def test_small_edges_are_exact_where_silu_is_next_to_nothing() -> None:
    """Left of −14, where x · sigmoid(x) of onnxruntime is off by as much as these edges are large times 1e-3."""
    kan = KAN(KANConfig((1, 1), domain=(-18, -14), noise=1e-3), dtype=torch.float64)
    rows = np.linspace(-18, -14, 400, dtype=np.float32)[:, None]
    _, edges = open_session(explaining_model(kan, None, None, [RadialPowers()])).run(rows)
    (wanted,) = edges_of(kan, rows)
    assert np.abs(edges - wanted).max() < 1e-5 * np.abs(wanted).max()

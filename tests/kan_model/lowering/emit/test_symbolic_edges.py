"""Symbolic edges in graphs give the layer's values in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering import lower
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.functions import FUNCTIONS
from kan_model.network.layer import KANLayer, Outside
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.onnx_runtime import run

Rows = NDArray[np.float32]
Values = NDArray[np.float64]
Answers = Callable[[KAN, Rows], Values]


def test_every_function_alone(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """One output a function, no spline anywhere, two edges each: the same numbers, NaN and infinities."""
    functions = list(FUNCTIONS)
    (layer,) = make_kan((2, len(functions))).layers
    edges = [
        SymbolicEdge(output, input_, name, 0.5 + input_, 0.25, 1.5, -0.5)
        for output, name in enumerate(functions)
        for input_ in (0, 1)
    ]
    kan = KAN.of_layers([layer.with_symbolic(edges)])
    rows = np.linspace(-3, 3, 60).reshape(30, 2)[:, ::-1].astype(np.float32)
    model = predicting_model(kan, None, None, [STRATEGIES[0]])
    assert not {"Gemm", "MatMul"} & {node.op_type for node in model.graph.node}
    wanted = float64_answers(kan, rows)
    assert np.isnan(wanted).any()
    np.testing.assert_allclose(run(model, rows), wanted, rtol=3e-5, atol=3e-6)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
def test_among_splines(
    strategy: Strategy,
    outside: Outside,
    uneven: bool,
    make_kan: Callable[..., KAN],
    written_by: Callable[[KAN, Strategy], list[Strategy]],
    with_every_kind_of_edge: Callable[[KAN], KAN],
    float64_answers: Answers,
) -> None:
    """On the same inputs and nodes as splines, in both layers, beside pruned edges: by every strategy."""
    kan = with_every_kind_of_edge(make_kan(outside=outside, uneven=uneven, grid_size=6, dtype=torch.float32))
    rows = np.random.default_rng(0).uniform(-2.5, 2.5, (100, 3)).astype(np.float32)
    got = run(predicting_model(kan, None, None, written_by(kan, strategy)), rows)
    # Narrow intervals cost radial powers digits (test_strategies: how many); a term left out is off by a tenth.
    atol = 3e-3 if uneven and isinstance(strategy, RadialPowers) else 3e-5
    np.testing.assert_allclose(got, float64_answers(kan, rows), rtol=3e-5, atol=atol)


def test_an_input_with_symbolic_edges_only_has_no_spline(make_kan: Callable[..., KAN]) -> None:
    """The basis is computed for the inputs that a spline reads: as many numbers as without the other input."""
    (layer,) = make_kan((3, 2)).layers
    (small,) = make_kan((2, 2)).layers
    symbolic = layer.with_symbolic([SymbolicEdge(output, 2, "sin", 1, 0, 1, 0) for output in (0, 1)])
    for strategy in STRATEGIES[:3]:
        graph, least = (
            predicting_model(KAN.of_layers([each]), None, None, [strategy]).graph for each in (symbolic, small)
        )
        assert largest_constant(graph) == largest_constant(least)


def largest_constant(graph: object) -> int:
    """Numbers in the largest initializer."""
    return max(int(np.prod(tensor.dims)) for tensor in graph.initializer)  # type: ignore[attr-defined]


def test_nan_of_one_edge_reaches_its_own_outputs_only(make_kan: Callable[..., KAN]) -> None:
    """The logarithm of a negative number: output 1 is NaN, outputs 0 and 2 are what they were."""
    (layer,) = make_kan((2, 3)).layers
    edges = [SymbolicEdge(1, 0, "log", 1, 0, 1, 0), SymbolicEdge(2, 1, "log", 1, 10, 1, 0)]
    kan = KAN.of_layers([layer.with_symbolic(edges)])
    rows = np.array([[-0.5, 0.25], [0.5, 0.25]], np.float32)
    got = run(predicting_model(kan, None, None, [STRATEGIES[0]]), rows)
    assert np.isnan(got).tolist() == [[False, True, False], [False, False, False]]
    with torch.no_grad():
        wanted = kan.layers[0].edge_outputs(torch.from_numpy(rows).double())[:, [0, 2]].sum(dim=2)
    np.testing.assert_allclose(got[:, [0, 2]], wanted, atol=1e-5)


def test_a_function_is_computed_once_for_all_of_its_edges(make_kan: Callable[..., KAN]) -> None:
    """Three sines and an exponential among them: one Sin, one Exp."""
    (layer,) = make_kan((2, 2)).layers
    functions = ("sin", "exp", "sin", "sin")
    places = [(output, input_) for output in (0, 1) for input_ in (0, 1)]
    edges = [SymbolicEdge(*place, name, 1, place[0], 1, 0) for place, name in zip(places, functions, strict=True)]
    graph = predicting_model(KAN.of_layers([layer.with_symbolic(edges)]), None, None, [STRATEGIES[0]]).graph
    operators = [node.op_type for node in graph.node]
    assert (operators.count("Sin"), operators.count("Exp")) == (1, 1)


@pytest.mark.parametrize("read", [(0, 1), (1, 0), (1, 1)])
def test_edges_read_their_own_inputs(
    read: tuple[int, int], make_kan: Callable[..., KAN], float64_answers: Answers
) -> None:
    """As many edges as inputs, in any order: a Gather is left out only where it would change nothing."""
    (layer,) = make_kan((2, 2)).layers
    edges = [SymbolicEdge(output, input_, "sin", 1, 0, 1, 0) for output, input_ in enumerate(read)]
    kan = KAN.of_layers([layer.with_symbolic(edges)])
    rows = np.array([[0.5, -1], [2, 0.25]], np.float32)
    got = run(predicting_model(kan, None, None, [STRATEGIES[0]]), rows)
    np.testing.assert_allclose(got, float64_answers(kan, rows), atol=1e-5)


def test_two_functions_of_the_same_argument_share_it(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """x² and x³ of a·x + b with equal a and b: the argument and its square are computed once."""
    (layer,) = make_kan((1, 2)).layers
    edges = [SymbolicEdge(0, 0, "x^2", 2, 1, 1, 0), SymbolicEdge(1, 0, "x^3", 2, 1, 1, 0)]
    kan = KAN.of_layers([layer.with_symbolic(edges)])
    model = predicting_model(kan, None, None, [STRATEGIES[0]])
    # a·x, (a·x + b)², times a·x + b, and c of both.
    assert [node.op_type for node in model.graph.node].count("Mul") == 4
    rows = np.array([[0.5], [-3]], np.float32)
    np.testing.assert_allclose(run(model, rows), float64_answers(kan, rows), rtol=1e-5)


def test_symbolic_edges_alone_still_add_constants(make_kan: Callable[..., KAN]) -> None:
    """A node that a hidden constant feeds, besides symbolic edges only."""
    kan = make_kan((1, 2, 1))
    first, second = kan.layers
    masked: list[KANLayer] = []
    for layer, mask in ((first, [[1.0], [0.0]]), (second, [[0.0, 1.0]])):
        layer.edge_mask = torch.tensor(mask, dtype=torch.float64)
        masked.append(layer)
    kan = KAN.of_layers([masked[0], masked[1].with_symbolic([SymbolicEdge(0, 0, "abs", 1, 0, 1, 0)])])
    rows = np.array([[0.5], [-1]], np.float32)
    with torch.no_grad():
        wanted = kan(torch.from_numpy(rows).double()).numpy()
        constant = kan.layers[1].edge_outputs(torch.zeros(1, 2, dtype=torch.float64))[0, 0, 1].item()
    assert abs(constant) > 1e-3
    got = run(predicting_model(kan, None, None, [STRATEGIES[0]] * 2), rows)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_of_the_library_is_within_the_tolerance_everywhere(name: str) -> None:
    """Every function is within the tolerance, also exp; where exp exceeds float32 nothing is compared."""
    layer = KANLayer(
        torch.zeros(1, 1),
        torch.zeros(1, 1, 4),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[0.1, 0.9]]),
        symbolic=[SymbolicEdge(0, 0, name, 1.0, 0.0, 1.0, 0.5)],
    )
    lower(KAN.of_layers([layer]), tune_for=())

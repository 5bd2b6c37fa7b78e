"""Pruned networks are smaller, have almost the same function, and work like any other network."""

import copy
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from kan_model import KAN
from kan_model.analysis.attribution import attribute
from kan_model.analysis.pruning import Pruned, prune
from kan_model.lowering import lower
from kan_model.network import checkpoint
from kan_model.network.layer import KANLayer, Outside
from kan_model.network.products import Products
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.onnx_runtime import open_session


def normal(rows: int, inputs: int, seed: int = 0) -> torch.Tensor:
    """Rows around 0, some of them outside the domain."""
    return torch.randn(rows, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scaled(layer: KANLayer, factors: list[list[float]] | float) -> KANLayer:
    """Each edge ([outputs, inputs]) times its factor."""
    factor = torch.as_tensor(factors, dtype=layer.base_weight.dtype).expand_as(layer.base_weight)
    return layer.changed(
        base_weight=layer.base_weight.detach() * factor,
        coefficients=layer.coefficients.detach() * factor.unsqueeze(-1),
    )


@pytest.fixture
def weak(make_kan: Callable[..., KAN]) -> KAN:
    """[4, 5, 2]: outputs hardly read hidden nodes 1 and 3, which alone read input 2 in earnest; one edge is masked."""
    kan = make_kan((4, 5, 2))
    first = torch.ones(5, 4)
    first[:, 2] = 1e-5
    first[[1, 3], 2] = 1
    second = torch.ones(2, 5)
    second[:, [1, 3]] = 1e-5
    layers = [scaled(kan.layers[0], first.tolist()), scaled(kan.layers[1], second.tolist())]
    layers[0].edge_mask[2, 0] = 0
    return KAN.of_layers(layers)


def test_weak_nodes_and_inputs_are_gone(weak: KAN) -> None:
    """The network is [3, 3, 2], lists the nodes that it kept, and has almost the same function."""
    x = normal(500, 4)
    pruned = prune(weak, x, edge_threshold=0)
    assert pruned.kan.width == (3, 3, 2)
    assert pruned.nodes == ((0, 1, 3), (0, 2, 4), (0, 1))
    assert pruned.inputs == (0, 1, 3)
    # 19 + 10 edges were there; 3·3 - 1 and 2·3 are left.
    assert (pruned.left_edges, pruned.removed_edges) == (14, 15)
    assert pruned.edges[0].sum() == 8
    assert not pruned.edges[0][2, 0]
    assert not pruned.edges[0][1].any()
    names = ["age", "height", "noise", "weight"]
    assert [names[i] for i in pruned.inputs] == ["age", "height", "weight"]
    with torch.no_grad():
        torch.testing.assert_close(pruned.kan(x[:, list(pruned.inputs)]), weak(x), atol=1e-3, rtol=0)


def test_inputs_may_be_kept(weak: KAN) -> None:
    """With keep_inputs the weak input loses its edges, but rows still have its column."""
    x = normal(500, 4)
    kept, dropped = prune(weak, x, keep_inputs=True), prune(weak, x)
    assert kept.kan.width == (4, 3, 2)
    assert kept.inputs == (0, 1, 2, 3)
    assert not kept.kan.layers[0].active_edges[:, 2].any()
    assert kept.left_edges == dropped.left_edges
    with torch.no_grad():
        torch.testing.assert_close(kept.kan(x), dropped.kan(x[:, list(dropped.inputs)]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
def test_with_thresholds_of_zero_the_function_stays(
    make_kan: Callable[..., KAN], degree: int, outside: Outside, uneven: bool
) -> None:
    """The function stays the same to 1e-12, also on other rows: only nodes without a path are removed."""
    kan = make_kan((3, 5, 4, 2), degree=degree, outside=outside, uneven=uneven)
    first, second, third = kan.layers
    # Input 1 and hidden node 2 are not read; hidden node 3 is fed by no edge, and has a bias.
    first.edge_mask[:, 1] = first.edge_mask[3] = second.edge_mask[:, 2] = 0
    edges = [SymbolicEdge(0, 2, "sin", 0.5, 0.1, 2.0, 0.3), SymbolicEdge(4, 0, "tanh", 1.0, 0.0, 1.0, 0.0)]
    first = first.with_symbolic(edges).changed(bias=torch.linspace(-1, 1, 5, dtype=torch.float64))
    kan = KAN.of_layers([first, second, third])
    pruned = prune(kan, normal(50, 3), node_threshold=0, edge_threshold=0)
    assert pruned.nodes == ((0, 2), (0, 1, 4), (0, 1, 2, 3), (0, 1))
    # 6 edges to input 1 or node 3, of which the mask had 7; node 2 takes 2 and 4 with it, node 3 gives 4.
    assert pruned.removed_edges == 2 + 4
    assert pruned.kan.layers[0].symbolic_places == ((0, 1), (2, 0))
    x = normal(500, 3, seed=1) * 2
    with torch.no_grad():
        torch.testing.assert_close(pruned.kan(x[:, [0, 2]]), kan(x), rtol=1e-12, atol=1e-12)


def test_products_lose_only_what_no_path_leads_through(make_kan: Callable[..., KAN]) -> None:
    """A node that multiplies keeps all its sums, also one that lost its edges; the function stays."""
    kan = make_kan((3, (2, 2), 2))
    first, second = kan.layers
    # Sums 2 and 3 make node 2, sums 4 and 5 node 3. Sum 3 has no edge; nobody reads node 3.
    first.edge_mask[3] = second.edge_mask[:, 3] = 0
    kan = KAN.of_layers([first.changed(bias=torch.linspace(-1, 1, 6, dtype=torch.float64)), second])
    x = normal(100, 3)
    pruned = prune(kan, x, node_threshold=0, edge_threshold=0)
    assert pruned.nodes == ((0, 1, 2), (0, 1, 2), (0, 1))
    assert pruned.kan.layers[0].products == Products(((0,), (1,), (2, 3)))
    with torch.no_grad():
        torch.testing.assert_close(pruned.kan(x), kan(x), rtol=1e-12, atol=1e-12)
    few = prune(kan, x, edges=6)
    assert few.left_edges <= 6
    with torch.no_grad():
        before, after = kan.layers[0].sums_of(x).mean(dim=0), few.kan.layers[0].sums_of(x[:, list(few.inputs)])
    kept = few.nodes[1] if first.products is None else first.products.sums_of(few.nodes[1])
    torch.testing.assert_close(after.mean(dim=0), before[list(kept)], rtol=1e-12, atol=1e-12)


def test_a_whole_network_at_zero_is_a_copy(make_kan: Callable[..., KAN]) -> None:
    """The copy has the same bits, no biases, and its own memory."""
    kan = make_kan((3, 4, 2), uneven=True, dtype=torch.float32)
    before = copy.deepcopy(kan.state_dict())
    pruned = prune(kan, normal(50, 3), node_threshold=0, edge_threshold=0).kan
    assert pruned.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in pruned.state_dict().items())
    for tensor in pruned.state_dict().values():
        tensor.fill_(7)
    assert all(torch.equal(tensor, before[name]) for name, tensor in kan.state_dict().items())


def test_what_is_removed_is_replaced_by_its_mean(make_kan: Callable[..., KAN]) -> None:
    """In one layer the bias is the mean of the removed edges, so the answer changes by at most their spread."""
    kan = make_kan((4, 1))
    layer = kan.layers[0].changed(bias=torch.tensor([5.0], dtype=torch.float64))
    x = normal(300, 4)
    pruned = prune(KAN.of_layers([layer]), x, edges=2)
    edges = kan.layers[0].edge_outputs(x).detach().numpy()[:, 0]
    strongest = np.sort(np.argsort(edges.std(axis=0))[2:])
    assert pruned.inputs == tuple(strongest)
    removed = np.delete(edges, strongest, axis=1).sum(axis=1)
    bias = pruned.kan.layers[0].bias
    assert bias is not None
    assert bias.item() == pytest.approx(5 + removed.mean(), rel=1e-12)
    with torch.no_grad():
        change = pruned.kan(x[:, list(pruned.inputs)]) - layer(x)
    assert change.square().mean().sqrt().item() == pytest.approx(removed.std(), rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_output_keeps_its_mean(make_kan: Callable[..., KAN], dtype: torch.dtype) -> None:
    """Every output keeps its mean, also through several layers, each of which changes the inputs of the next."""
    kan = make_kan((3, 6, 5, 2), dtype=dtype)
    x = normal(400, 3).to(dtype)
    pruned = prune(kan, x, edges=25, keep_inputs=True)
    assert pruned.left_edges <= 25
    with torch.no_grad():
        means = [copy.deepcopy(net).double()(x.double()).mean(dim=0) for net in (pruned.kan, kan)]
        assert (pruned.kan(x) - kan(x)).abs().max() > 0.1
    tolerance = 1e-12 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(*means, rtol=0, atol=tolerance)


def test_a_product_with_idle_nodes_becomes_the_product_alone(make_kan: Callable[..., KAN]) -> None:
    """A [3, 5, 1] of (x + y)²/4 - (x - y)²/4 and edges a thousandth as strong becomes a [2, 2, 1] of six edges: x·y."""
    kan = make_kan((3, 5, 1))
    factors = [[5e-4 if (o, i) not in {(1, 0), (1, 1), (4, 0), (4, 1)} else 1.0 for i in range(3)] for o in range(5)]
    first = scaled(kan.layers[0], factors).with_symbolic(
        [SymbolicEdge(o, i, "x", 1, 0, c, 0) for o, i, c in ((1, 0, 1), (1, 1, 1), (4, 0, 1), (4, 1, -1))]
    )
    second = scaled(kan.layers[1], 5e-4).with_symbolic(
        [SymbolicEdge(0, 1, "x^2", 1, 0, 0.25, 0), SymbolicEdge(0, 4, "x^2", 1, 0, -0.25, 0)]
    )
    pruned = prune(KAN.of_layers([first, second]), normal(500, 3))
    assert pruned.nodes == ((0, 1), (1, 4), (0,))
    assert pruned.left_edges == 6
    x = normal(100, 2, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(pruned.kan(x)[:, 0], x[:, 0] * x[:, 1], atol=0.02, rtol=0)


def test_scaling_the_target_changes_nothing(make_kan: Callable[..., KAN]) -> None:
    """Thresholds are relative."""
    kan = make_kan((3, 6, 2))
    x = normal(200, 3)
    options = {"node_threshold": 0.5, "edge_threshold": 0.2}
    pruned = prune(kan, x, **options)  # type: ignore[arg-type]
    assert 0 < pruned.left_edges < 30
    for factor in (1e-9, 1e9):
        other = prune(KAN.of_layers([kan.layers[0], scaled(kan.layers[1], factor)]), x, **options)  # type: ignore[arg-type]
        assert other.nodes == pruned.nodes
        assert all(np.array_equal(one, two) for one, two in zip(other.edges, pruned.edges, strict=True))


def test_thresholds_are_those_of_the_scores(make_kan: Callable[..., KAN]) -> None:
    """All kept edges are above their thresholds; a removed edge is below, or on no path without those that are."""
    kan = make_kan((3, 6, 2))
    x = normal(200, 3)
    pruned = prune(kan, x, node_threshold=0, edge_threshold=0.25)
    scores = attribute(kan, x).edges
    above = [score >= 0.25 * score.max() for score in scores]
    ways = [
        (i, h, o) for i, h, o in itertools.product(range(3), range(6), range(2)) if above[0][h, i] and above[1][o, h]
    ]
    assert {(h, i) for i, h, _ in ways} == set(map(tuple, np.argwhere(pruned.edges[0]).tolist()))
    assert {(o, h) for _, h, o in ways} == set(map(tuple, np.argwhere(pruned.edges[1]).tolist()))


def test_by_number_the_strongest_edges_are_left(make_kan: Callable[..., KAN]) -> None:
    """At most the given number of edges is kept, each on a path; a larger number keeps these and more.

    Of fewer than six the strongest make no way yet.
    """
    kan = make_kan((3, 4, 3, 2))
    kan.layers[0].edge_mask[1, 1] = 0
    x = normal(200, 3)
    total, before = 11 + 12 + 6, None
    for count in range(6, total + 1):
        pruned = prune(kan, x, edges=count)
        assert 3 <= pruned.left_edges <= count
        assert pruned.left_edges + pruned.removed_edges == total
        first, second, third = pruned.edges
        assert not first[1, 1]
        walks = third.astype(int) @ second.astype(int) @ first.astype(int)
        assert walks.sum() > 0
        for layer, other in itertools.pairwise(pruned.edges):
            assert np.array_equal(layer.any(axis=1), other.any(axis=0))
        if before is not None:
            assert all((fewer <= more).all() for fewer, more in zip(before, pruned.edges, strict=True))
        before = pruned.edges
    assert pruned.left_edges == total


def test_by_number_thresholds_are_not_used(make_kan: Callable[..., KAN]) -> None:
    """The given number of edges is kept if every edge is on a path; the thresholds are ignored."""
    pruned = prune(make_kan((3, 1)), normal(50, 3), node_threshold=1, edge_threshold=1, edges=2)
    assert pruned.left_edges == 2


def test_an_output_without_edges_answers_its_mean(make_kan: Callable[..., KAN]) -> None:
    """It stays, as a constant."""
    kan = make_kan((2, 3, 2))
    # Output 1 reads each hidden node a little, and is explained by all of them alike; output 0 reads one.
    last = scaled(kan.layers[1], [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    x = normal(200, 2)
    pruned = prune(KAN.of_layers([kan.layers[0], last]), x, node_threshold=0, edge_threshold=1)
    assert not pruned.edges[1].all(axis=1).any()
    silent = np.flatnonzero(~pruned.edges[1].any(axis=1))
    assert len(silent) == 1
    with torch.no_grad():
        answers = pruned.kan(x[:, list(pruned.inputs)])[:, silent]
        wanted = KAN.of_layers([kan.layers[0], last])(x)[:, silent].mean()
    torch.testing.assert_close(answers, wanted.expand_as(answers), rtol=1e-12, atol=1e-12)


@pytest.fixture
def pruned(make_kan: Callable[..., KAN]) -> Pruned:
    """A float32 network with uneven knots and a symbolic edge, pruned to half of its edges."""
    kan = make_kan((4, 6, 2), dtype=torch.float32, uneven=True)
    kan = KAN.of_layers([kan.layers[0].with_symbolic([SymbolicEdge(1, 2, "tanh", 2.0, 0.3, 3.0, 0.0)]), kan.layers[1]])
    result = prune(kan, normal(200, 4), edges=18)
    assert result.kan.layers[0].symbolic
    assert not result.kan.layers[0].active_edges.all()
    assert result.kan.layers[0].bias is not None
    return result


def test_a_pruned_network_can_be_copied_and_saved(pruned: Pruned) -> None:
    """Deep copy, state dict and checkpoint of a pruned network give the same bits."""
    kan = pruned.kan
    x = normal(50, kan.width[0]).float()
    other = copy.deepcopy(kan)
    with torch.no_grad():
        assert torch.equal(other(x), kan(x))
        for parameter in other.parameters():
            parameter.zero_()
        assert not torch.equal(other(x), kan(x))
        other.load_state_dict(kan.state_dict())
        assert torch.equal(other(x), kan(x))
        loaded = checkpoint.from_bytes(checkpoint.to_bytes(kan))
        assert torch.equal(loaded(x), kan(x))
    assert loaded.width == kan.width
    assert all(torch.equal(a.active_edges, b.active_edges) for a, b in zip(loaded.layers, kan.layers, strict=True))


@pytest.mark.parametrize("optimizer", ["LBFGS", "AdamW"])
def test_a_pruned_network_learns_on(pruned: Pruned, optimizer: str) -> None:
    """The loss falls, no number is NaN, and no edge comes back."""
    kan = copy.deepcopy(pruned.kan)
    x = normal(200, kan.width[0]).float()
    y = torch.stack([x[:, 0] * x[:, 1], x[:, 0].sin()], dim=1)
    active = [layer.active_edges for layer in kan.layers]
    fit: torch.optim.Optimizer
    if optimizer == "LBFGS":
        fit = torch.optim.LBFGS(kan.parameters(), max_iter=20, line_search_fn="strong_wolfe")
    else:
        fit = torch.optim.AdamW(kan.parameters(), lr=0.02)

    def closure() -> torch.Tensor:
        fit.zero_grad()
        loss: torch.Tensor = (kan(x) - y).square().mean()
        torch.autograd.backward(loss)
        return loss

    start = closure().item()
    for _ in range(1 if optimizer == "LBFGS" else 60):
        fit.step(closure)  # type: ignore[no-untyped-call]
    assert closure().item() < start / 2
    assert all(torch.isfinite(parameter).all() for parameter in kan.parameters())
    for layer, before in zip(kan.layers, active, strict=True):
        assert torch.equal(layer.active_edges, before)
        there = layer.edge_outputs(layer.domain.T).abs().sum(dim=0) > 0
        assert not (there & ~before).any()
    again = prune(kan, x, edges=sum(int(layer.sum()) for layer in active) // 2)
    assert again.left_edges < pruned.left_edges


def test_a_pruned_network_is_lowered(pruned: Pruned) -> None:
    """The lowered pruned network answers as torch does in float64."""
    rows = normal(200, pruned.kan.width[0]).float()
    session = open_session(lower(pruned.kan, tune_for=()).model)
    with torch.no_grad():
        wanted = copy.deepcopy(pruned.kan).double()(rows.double()).numpy()
    np.testing.assert_allclose(session.run(rows.numpy())[0], wanted, atol=1e-5 * np.ptp(wanted), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"node_threshold": 1.5}, "node_threshold is 1.5"),
        ({"edge_threshold": -0.1}, "edge_threshold is -0.1"),
        ({"edge_threshold": math.nan}, "edge_threshold is nan"),
        ({"edges": 0}, "edges is 0"),
        ({"edges": 1}, "edges=1 no path"),
    ],
)
def test_what_would_leave_nothing_is_refused(
    make_kan: Callable[..., KAN], options: dict[str, float], message: str
) -> None:
    """The error says what came and what was wanted."""
    with pytest.raises(ValueError, match=message):
        prune(make_kan(), normal(50, 3), **options)  # type: ignore[arg-type]


def test_thresholds_that_part_inputs_from_outputs_are_refused(make_kan: Callable[..., KAN]) -> None:
    """Thresholds that leave no path are refused: the strongest edges of the two layers do not meet in a node.

    Node 0 is fed by one strong edge, and read by two edges of two outputs; node 1 by two, read by one.
    """
    kan = make_kan((2, 2, 3))
    edges = [SymbolicEdge(0, 0, "x", 1, 0, 1.0, 0), *(SymbolicEdge(1, i, "x", 1, 0, 1.0, 0) for i in range(2))]
    first = scaled(kan.layers[0], 0.0).with_symbolic(edges)
    weights = [[0.9, 0.1], [0.9, 0.1], [0.0, 1.0]]
    second = scaled(kan.layers[1], 0.0).with_symbolic(
        [SymbolicEdge(o, h, "x", 1, 0, weights[o][h], 0) for o in range(3) for h in range(2)]
    )
    with pytest.raises(ValueError, match="edge_threshold=1 no path"):
        prune(KAN.of_layers([first, second]), normal(2000, 2), node_threshold=0, edge_threshold=1)


def test_rows_that_tell_nothing_are_refused(make_kan: Callable[..., KAN]) -> None:
    """NaN, a single row, equal rows, and a constant network are refused."""
    kan = make_kan()
    with pytest.raises(ValueError, match="1 of 2 rows"):
        prune(kan, torch.tensor([[0, torch.nan, 0], [0, 0, 0]]))
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        prune(kan, torch.zeros(1, 3))
    for network, rows in (
        (kan, torch.ones(10, 3)),
        (KAN.of_layers([kan.layers[0], scaled(kan.layers[1], 0.0)]), normal(10, 3)),
    ):
        with pytest.raises(ValueError, match="same to all"):
            prune(network, rows)

"""What other rooms make of edges with directions: graphs, edges, known rows, derivatives, members, contributions."""

import copy

import numpy as np
import pytest
import torch

from kan_model import KAN, auto_symbolic, contributions, mean_network, members_of, refine_grid
from kan_model.analysis.laplacian import laplacian
from kan_model.analysis.laplacian_jacobian import laplacian_jacobian
from kan_model.lowering import lower
from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.monotone.promise import UNKNOWN, promised_directions, settled
from kan_model.network.connections import select_nodes
from kan_model.onnx_runtime import open_session
from kan_model.rows.jacobian import jacobian
from kan_model.rows.known_rows import KnownRows
from tests.kan_model.monotone.conftest import INPUTS, rows, scrambled, stepped


def test_edges_add_up_to_the_answers(state: KAN) -> None:
    """Edge outputs have the base x where the edge has a direction, so that their sums are the nodes."""
    x = rows() * 2
    for layer in state.layers:
        sums = layer.edge_outputs(x).sum(dim=2)
        x = layer(x)
        torch.testing.assert_close(sums if layer.bias is None else sums + layer.bias, x, rtol=1e-12, atol=1e-10)


def test_known_rows_give_the_same_answers(state: KAN) -> None:
    """What an optimizer on all rows computes."""
    x = rows() * 2
    known = KnownRows.of(state, x)
    assert known is not None
    torch.testing.assert_close(known.answers(state), state(x), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.name)
def test_each_strategy_writes_the_line(strategy: Strategy) -> None:
    """The graph agrees with float64 inside the domain, outside and up to 1e6, by a reference of its own."""
    kan = settled(stepped(scrambled(0, (6, 4, 1)))).float()
    kan = refine_grid(kan, 12) if strategy.name == "segments_10" else kan
    # Random parameters have large coefficients, which cancel: some strategies keep fewer digits of them.
    lowered = lower(kan, strategies=[strategy], tune_for=(), tolerance=1e-3)
    assert Reference(kan, rows_per_region=500).compare(lowered.model).max_relative_error <= 1e-3


def test_the_graph_of_edges_has_the_line() -> None:
    """Each edge of explain.onnx is the layer's own."""
    kan = settled(stepped(scrambled(0, (6, 4, 1)))).float()
    x = (rows() * 2).float()
    _, first, _ = open_session(lower(kan, tune_for=(), tolerance=1e-4).explained).run(x.numpy())
    wanted = copy.deepcopy(kan.layers[0]).double().edge_outputs(x.double()).detach().numpy()
    assert np.abs(first - wanted).max() <= 1e-4 * np.abs(wanted).max()


def test_contributions_add_up() -> None:
    """Multipliers see the line as part of an edge."""
    kan = settled(scrambled(2))
    x = rows()
    found = contributions(kan, x, x[:1])
    torch.testing.assert_close(found.inputs.sum(dim=2), (kan(x) - kan(x[:1])).detach(), rtol=0, atol=1e-8)


def test_the_laplacian_is_that_of_autograd() -> None:
    """A line has a slope and no curvature."""
    kan = scrambled(3, (6, 4, 1))
    x = (rows()[:20] * 0.9).requires_grad_()
    (gradient,) = torch.autograd.grad(kan(x).sum(), x, create_graph=True)
    second = sum(torch.autograd.grad(gradient[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(6))
    jet = laplacian(kan, x.detach())
    torch.testing.assert_close(jet.gradients[:, 0], gradient.detach(), rtol=1e-9, atol=1e-9)
    assert isinstance(second, torch.Tensor)
    torch.testing.assert_close(jet.laplacians[:, 0], second.detach(), rtol=1e-8, atol=1e-8)


def test_derivatives_by_parameters_are_refused() -> None:
    """Those by coefficients are not those by parameters."""
    kan = scrambled(4)
    for derive in (jacobian, laplacian_jacobian):
        with pytest.raises(ValueError, match="layer 0 has edges with a direction"):
            derive(kan, rows())


def test_members_come_back_with_their_directions() -> None:
    """The mean and its members promise the same, also with one layer."""
    for width in ((6, 4, 1), (6, 1)):
        members = [stepped(scrambled(seed, width)) for seed in range(3)]
        mean = mean_network(members)
        for each in (mean, *members_of(mean)):
            assert promised_directions(each)[0, :3].tolist() == [1, 1, -1]
        x = rows()
        torch.testing.assert_close(mean(x), torch.stack([each(x) for each in members]).mean(dim=0), rtol=0, atol=1e-10)


@pytest.mark.parametrize("keep_members", [False, True])
@pytest.mark.parametrize(
    ("second", "told"),
    [
        ((-1, 1, 1, 0, 0, 0), [UNKNOWN, 1, UNKNOWN]),
        ((0, 0, 0, 0, 0, 0), [UNKNOWN, UNKNOWN, UNKNOWN]),
        (INPUTS, [1, 1, -1]),
    ],
)
def test_the_mean_of_one_layer_is_exact_and_promises_what_all_members_do(
    second: tuple[int, ...], told: list[int], keep_members: bool
) -> None:
    """Members that rise, fall or are free; one layer is left only where they have the same directions."""
    members = [scrambled(seed, (6, 2), (1, 1), inputs) for seed, inputs in enumerate((INPUTS, second, INPUTS))]
    for order in (members, members[1:]):
        mean = mean_network(order, keep_members=keep_members)
        with torch.no_grad():
            wanted = torch.stack([each(rows() * 2) for each in order]).mean(dim=0)
            assert float((mean(rows() * 2) - wanted).abs().max()) <= 1e-12 * float(wanted.abs().max())
        assert promised_directions(mean).tolist() == [[*told, UNKNOWN, UNKNOWN, UNKNOWN]] * 2
        assert len(mean.layers) == (1 if second == INPUTS and not keep_members else 2)


def test_a_part_of_a_layer_keeps_its_directions() -> None:
    """Rows and columns go with their nodes."""
    layer = scrambled(5).layers[0]
    part = select_nodes(layer, np.array([0, 2, 5]), np.array([1, 6]))
    assert part.signs.tolist() == [[1, -1, 0], [0, 0, 0]]


def test_formulas_are_refused() -> None:
    """The functions of the library may turn, and so may their constants. Nothing is searched before."""
    kan = stepped(scrambled(6))
    with pytest.raises(ValueError, match="layer 0 has edges with a direction, which formulas may not keep"):
        auto_symbolic(kan, rows(), min_r2=1e-6)

"""The mean network answers the mean of its members' answers, computed by torch in float64."""

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from kan_model import KAN, KANConfig, mean_network, members_of
from kan_model.grids.adaptation import adapt_grid
from kan_model.grids.refinement import refine_grid, replace_knots
from kan_model.network.layer import Outside
from kan_model.network.symbolic_edge import SymbolicEdge

MakeMembers = Callable[..., list[KAN]]
MeanOf = Callable[[Sequence[KAN], Tensor], Tensor]


def error(kan: KAN, wanted: Tensor, x: Tensor) -> float:
    """The largest difference as a share of the largest answer."""
    with torch.no_grad():
        return float((kan(x) - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
def test_it_answers_the_mean(
    make_members: MakeMembers,
    mean_of: MeanOf,
    rows: Tensor,
    depth: int,
    degree: int,
    outside: Outside,
    uneven: bool,
    mixed: bool,
) -> None:
    """To 1e-12 in float64: other hidden widths and hidden grids, masks, biases and symbolic edges a member."""
    members = make_members(depth, degree=degree, outside=outside, uneven=uneven, mixed=mixed)
    assert error(mean_network(members), mean_of(members, rows), rows) < 1e-12


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("hidden", [(), (4,), (5, 3)])
def test_trained_and_adapted_members(mean_of: MeanOf, rows: Tensor, hidden: tuple[int, ...], outside: Outside) -> None:
    """Members trained from seeds of their own, their hidden grids moved to their data, and refined: to 1e-12."""
    x = rows[:80]
    y = torch.stack([x[:, 0] * x[:, 1], torch.sin(3 * x[:, 2])], dim=1)
    members: list[KAN] = []
    for seed in range(3):
        kan = KAN(KANConfig((3, *hidden, 2), outside=outside), seed=seed, dtype=torch.float64)
        optimizer = torch.optim.LBFGS(kan.parameters(), max_iter=6, line_search_fn="strong_wolfe")

        def closure(kan: KAN = kan, optimizer: torch.optim.Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss: Tensor = (kan(x) - y).square().mean()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        kan = refine_grid(adapt_grid(kan, x).kan, 8)
        knots = members[0].layers[0].all_knots() if members else kan.layers[0].all_knots()
        members.append(KAN.of_layers([replace_knots(kan.layers[0], knots), *kan.layers[1:]]))
    assert not hidden or not torch.equal(members[0].layers[1].all_knots(), members[1].layers[1].all_knots())
    assert error(mean_network(members), mean_of(members, rows), rows) < 1e-12


def test_in_float32_it_differs_by_rounding(make_members: MakeMembers, mean_of: MeanOf, rows: Tensor) -> None:
    """The mean of float32 members is a float32 network, to 1e-5 of the answers."""
    members = make_members(dtype=torch.float32)
    kan = mean_network(members)
    assert kan.dtype == torch.float32
    assert error(kan, mean_of(members, rows[:240].float()), rows[:240].float()) < 1e-5


def test_hidden_nodes_stand_side_by_side(make_members: MakeMembers) -> None:
    """The width is the sum of the members'; edges exist within a member only; the record has each member's nodes."""
    kan = mean_network(make_members(3))
    assert kan.width == (3, 4 + 5 + 6, 3 + 4 + 5, 2)
    assert kan.members is not None
    assert kan.members.nodes == ((4, 5, 6), (3, 4, 5))
    blocks = [torch.ones(3, 4), torch.ones(4, 5), torch.ones(5, 6)]
    assert torch.equal(kan.layers[1].edge_mask, torch.block_diag(*blocks).double())  # type: ignore[no-untyped-call]


def test_members_of_one_layer_get_a_layer_that_adds(make_members: MakeMembers) -> None:
    """Their outputs are its hidden nodes; the second layer has one identity edge a member and output."""
    kan = mean_network(make_members(1))
    assert kan.width == (3, 6, 2)
    assert [(edge.output, edge.input, edge.function) for edge in kan.layers[1].symbolic] == [
        (place % 2, place, "x") for place in range(6)
    ]


@pytest.mark.parametrize("uneven", [False, True])
def test_one_layer_of_mean_edges(make_members: MakeMembers, mean_of: MeanOf, rows: Tensor, uneven: bool) -> None:
    """Members of one layer that need not come back: one layer, with masks, biases and formulas that they share."""
    members = make_members(1, uneven=uneven)
    kan = mean_network(members, keep_members=False)
    assert (kan.width, kan.members) == ((3, 2), None)
    assert error(kan, mean_of(members, rows), rows) < 1e-12
    masks = ([[1, 0, 0], [1, 1, 1]], [[0, 0, 0], [1, 0, 1]], [[1, 0, 0], [0, 1, 1]])
    members = [
        KAN.of_layers(
            [
                member.layers[0].changed(
                    edge_mask=torch.tensor(mask).double(),
                    symbolic=[SymbolicEdge(0, 1, "sin", 2.0, 0.5, 3.0 * index, 3.0)] if index else (),
                    bias=torch.tensor([1.0, index]).double() if index else None,
                )
            ]
        )
        for index, (member, mask) in enumerate(zip(members, masks, strict=True))
    ]
    kan = mean_network(members, keep_members=False)
    assert kan.layers[0].symbolic == (SymbolicEdge(0, 1, "sin", 2.0, 0.5, 3.0, 2.0),)
    assert torch.equal(kan.layers[0].active_edges, torch.tensor([[True, True, False], [True, True, True]]))
    assert error(kan, mean_of(members, rows), rows) < 1e-12


@pytest.mark.parametrize("outputs", [2, (1, 1)])
@pytest.mark.parametrize("keep_members", [False, True])
def test_members_that_multiply(
    mean_of: MeanOf, rows: Tensor, outputs: int | tuple[int, int], keep_members: bool
) -> None:
    """Products stand side by side; products of outputs get a layer that adds. The members come back."""
    for hidden in ((), ((2, 2),)):
        config = KANConfig((3, *hidden, outputs), noise=0.5)
        members = [KAN(config, seed=seed, dtype=torch.float64) for seed in range(3)]
        kan = mean_network(members, keep_members=keep_members)
        assert error(kan, mean_of(members, rows), rows) < 1e-12
        if keep_members:
            for found, member in zip(members_of(kan), members, strict=True):
                assert error(found, mean_of([member], rows), rows) < 1e-12


def test_edges_that_have_no_mean(make_members: MakeMembers, mean_of: MeanOf, rows: Tensor) -> None:
    """A spline and a formula, or two formulas, make no edge: the mean has a second layer."""
    first, second, _ = make_members(1)
    formulas = [SymbolicEdge(0, 1, function, 2.0, 0.5, 1.0, 0.0) for function in ("sin", "cos")]
    sine, cosine = (KAN.of_layers([first.layers[0].with_symbolic([formula])]) for formula in formulas)
    for members in ([sine, second], [sine, cosine]):
        kan = mean_network(members, keep_members=False)
        assert (kan.width, kan.members) == ((3, 4, 2), None)
        assert error(kan, mean_of(members, rows), rows) < 1e-12


def test_a_mean_of_means(make_members: MakeMembers, mean_of: MeanOf, rows: Tensor) -> None:
    """Means of members are networks too, and one member alone is its own mean."""
    members = make_members()
    means = [mean_network(members), mean_network(members[:1])]
    assert error(mean_network(means), mean_of(means, rows), rows) < 1e-12
    assert error(means[1], mean_of(members[:1], rows), rows) < 1e-12


def test_the_members_are_left_as_they_are(make_members: MakeMembers) -> None:
    """No number changes, and none is shared with the mean."""
    members = make_members(uneven=True, mixed=True)
    before = [copy.deepcopy(member.state_dict()) for member in members]
    kan = mean_network(members)
    with torch.no_grad():
        for tensor in (*kan.parameters(), *kan.buffers()):
            tensor.fill_(1)
    for member, numbers in zip(members, before, strict=True):
        assert all(torch.equal(tensor, numbers[name]) for name, tensor in member.state_dict().items())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (KANConfig((4, 4, 2)), "member 1 has 4 inputs, member 0 has 3 inputs"),
        (KANConfig((3, 4, 1)), "1 outputs, .* 2 outputs"),
        (KANConfig((3, 4, 4, 2)), "3 layers, .* 2 layers"),
        (KANConfig((3, 4, 2), degree=2), "degree 2 in layer 0, member 0 has degree 3"),
        (KANConfig((3, 4, 2), grid_size=8), "grid_size 8 in layer 0, .*grid_size 5"),
        (KANConfig((3, 4, 2), outside="decay"), "outside decay in layer 0, .* clamp"),
        (KANConfig((3, 4, 2), domain=((-1, 1), (-1, 2), (-1, 1))), "input 1 .*5 intervals from -1 to 2 .* -1 to 1"),
    ],
)
def test_members_that_differ_are_refused(config: KANConfig, message: str) -> None:
    """The message names the member, and what differs."""
    with pytest.raises(ValueError, match=message):
        mean_network([KAN(KANConfig((3, 4, 2))), KAN(config)])


def test_other_refusals(make_members: MakeMembers) -> None:
    """Types that differ, inner knots that differ, a hidden layer on another grid, and no members."""
    first, second, _ = make_members(2, uneven=True)
    with pytest.raises(ValueError, match=r"torch\.float32 on cpu, .* torch\.float64 on cpu"):
        mean_network([first, copy.deepcopy(second).float()])
    knots = second.layers[0].all_knots().clone()
    knots[2, 5] += 1e-9
    with pytest.raises(ValueError, match=r"knots of input 2 .*inner knots"):
        mean_network([first, KAN.of_layers([second.layers[0].changed(knots=knots), second.layers[1]])])
    with pytest.raises(ValueError, match=r"grid_size 9 in layer 1, .*grid_size 5"):
        mean_network([first, KAN.of_layers([second.layers[0], refine_grid(second, 9).layers[1]])])
    with pytest.raises(ValueError, match="no members"):
        mean_network([])

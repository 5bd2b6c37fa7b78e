"""Members come back from a network that is their mean, and stay its members whatever is done to the network."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from kan_model import KAN, Members, adapt_grid, auto_symbolic, fit_constants, mean_network, members_of, prune
from kan_model.grids.refinement import refine_grid
from kan_model.network import checkpoint
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.symbolic.choice import fix_symbolic

MakeMembers = Callable[..., list[KAN]]
MeanOf = Callable[[Sequence[KAN], Tensor], Tensor]


def check_mean(kan: KAN, mean_of: MeanOf, x: Tensor) -> list[KAN]:
    """The members of a network, after their mean was compared with it."""
    members = members_of(kan)
    torch.testing.assert_close(mean_of(members, x), mean_of([kan], x), rtol=1e-11, atol=1e-11)
    return members


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("mixed", [False, True])
def test_members_come_back(make_members: MakeMembers, mean_of: MeanOf, rows: Tensor, depth: int, mixed: bool) -> None:
    """From the file too: their width, their masks, their symbolic edges, their own answers to 1e-12."""
    made = make_members(depth, uneven=True, mixed=mixed)
    kan = checkpoint.from_bytes(checkpoint.to_bytes(mean_network(made)))
    for before, after in zip(made, check_mean(kan, mean_of, rows), strict=True):
        torch.testing.assert_close(mean_of([after], rows), mean_of([before], rows), rtol=1e-12, atol=1e-12)
        assert after.width[:2] == before.width[:2]
        assert after.width == before.width or depth == 1
        for old, new in zip(before.layers, after.layers, strict=False):
            assert torch.equal(old.active_edges, new.active_edges)
            assert old.symbolic_places == new.symbolic_places


def test_members_of_a_network_that_was_changed(make_members: MakeMembers, mean_of: MeanOf, rows: Tensor) -> None:
    """After new numbers, finer and moved grids, and formulas with fitted constants the members' mean is the network."""
    x = rows[:40]
    kan = mean_network(make_members(mixed=True))
    with torch.no_grad():
        for parameter in kan.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    check_mean(kan, mean_of, rows)
    kan = adapt_grid(refine_grid(kan, 10), x, max_moved=1).kan
    check_mean(kan, mean_of, rows)
    output, input_ = kan.layers[2].edge_mask.nonzero()[0].tolist()
    kan = fix_symbolic(kan, 2, SymbolicEdge(output, input_, "tanh", 1.0, 0.0, 2.0, 1.0))
    kan = fit_constants(kan, x, torch.stack([x[:, 0], x[:, 1]], dim=1), steps=2)
    check_mean(kan, mean_of, rows)
    check_mean(auto_symbolic(kan, x, layers=[2], functions=["x", "x^2"]).kan, mean_of, x)


def test_pruning_keeps_the_mean_of_each_member(make_members: MakeMembers, mean_of: MeanOf, rows: Tensor) -> None:
    """Removed edges leave their mean behind, in their own member: its mean answer to the rows stays as it was."""
    x = rows[:200]
    kan = mean_network(make_members(mixed=True))
    pruned = prune(kan, x, edge_threshold=0.3, node_threshold=0.1)
    assert pruned.removed_edges > 10
    after = check_mean(pruned.kan, mean_of, x[:, list(pruned.inputs)])
    assert pruned.kan.members is not None
    assert pruned.kan.members.width == pruned.kan.width[1:]
    for before, smaller in zip(members_of(kan), after, strict=True):
        wanted = mean_of([before], x).mean(dim=0)
        torch.testing.assert_close(mean_of([smaller], x[:, list(pruned.inputs)]).mean(dim=0), wanted)


def test_a_member_without_nodes_is_a_constant(make_members: MakeMembers, mean_of: MeanOf, rows: Tensor) -> None:
    """Pruning to very few edges leaves a member without a path: it answers its mean to all rows."""
    x = rows[:200]
    kan = mean_network(make_members(3))
    pruned = prune(kan, x, edges=4, keep_inputs=True)
    assert pruned.kan.members is not None
    lost = [index for index in range(3) if pruned.kan.members.nodes[0][index] == 0]
    assert lost
    after = check_mean(pruned.kan, mean_of, x)
    for index in lost:
        answers = mean_of([after[index]], x)
        torch.testing.assert_close(answers, mean_of([members_of(kan)[index]], x).mean(dim=0).expand(200, 2))


def test_members_share_no_memory_with_the_network(make_members: MakeMembers) -> None:
    """A change of a member leaves the network as it is."""
    kan = mean_network(make_members(mixed=True))
    before = checkpoint.to_bytes(kan)
    with torch.no_grad():
        for member in members_of(kan):
            for tensor in (*member.parameters(), *member.buffers()):
                tensor.fill_(1)
    assert checkpoint.to_bytes(kan) == before


def test_a_network_without_members_is_refused(make_members: MakeMembers) -> None:
    """A network that is no mean has none, and neither has one made of its layers."""
    kan = mean_network(make_members())
    for other in (make_members()[0], KAN.of_layers(kan.layers)):
        with pytest.raises(ValueError, match="no members"):
            members_of(other)


def test_members_of_another_width_are_refused(make_members: MakeMembers) -> None:
    """Layers must have the nodes that the record tells of."""
    kan = make_members()[0]
    with pytest.raises(ValueError, match=r"members are of \[4, 4, 2\].*wanted \(4, 3, 2\)"):
        KAN.of_layers(kan.layers, Members(((2, 2), (2, 2)), ((0.0, 0.0), (0.0, 0.0))))

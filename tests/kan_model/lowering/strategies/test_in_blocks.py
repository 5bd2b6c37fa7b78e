"""A layer of blocks falls into parts, which leave out the masked edges between them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kan_model import KAN
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.in_blocks import InBlocks, part_counts
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.network.symbolic_edge import SymbolicEdge

MakeKAN = Callable[..., KAN]


@pytest.mark.parametrize("scattered", [False, True])
@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_parts_hold_every_edge_and_no_node_twice(
    make_kan: MakeKAN, in_blocks: MakeKAN, count: int, scattered: bool
) -> None:
    """Each node is in one part, and edges are within parts only. More parts than blocks are as many as blocks."""
    layer = in_blocks(make_kan((3, 12, 9, 2)), scattered=scattered, symbolic=True).layers[1]
    parts = InBlocks(RadialPowers(), count).parts(layer)
    assert len(parts) == min(count, 4)
    for axis, nodes in enumerate((12, 9)):
        assert sorted(np.concatenate([part[axis] for part in parts])) == list(range(nodes))
    inside = sum(int(layer.active_edges[np.ix_(outputs, inputs)].sum()) for inputs, outputs in parts)
    assert inside == int(layer.active_edges.sum())


def test_counts_that_are_tried(make_kan: MakeKAN, in_blocks: MakeKAN) -> None:
    """2, 4, … and the number of blocks. None where a layer is whole, where parts save little, or without splines."""
    kan = in_blocks(make_kan((3, 12, 9, 2)))
    assert [part_counts(layer) for layer in kan.layers] == [[], [2, 4], []]
    layer = make_kan((6, 6)).layers[0]
    assert part_counts(layer.changed(edge_mask=torch.eye(6).double())) == [2, 4, 6]
    mask = torch.block_diag(torch.ones(5, 5), torch.ones(1, 1)).double()  # type: ignore[no-untyped-call]
    assert 25 + 1 > 0.7 * 36
    assert part_counts(layer.changed(edge_mask=mask)) == [2]
    mask = torch.block_diag(torch.ones(6, 5), torch.ones(0, 1)).double()  # type: ignore[no-untyped-call]
    assert part_counts(layer.changed(edge_mask=mask)) == []
    formulas = [SymbolicEdge(node, node, "sin", 1.0, 0.0, 1.0, 0.0) for node in range(6)]
    assert part_counts(layer.changed(edge_mask=torch.zeros(6, 6).double(), symbolic=formulas)) == []


def test_it_applies_where_its_strategy_does(make_kan: MakeKAN, in_blocks: MakeKAN) -> None:
    """And only with a number of parts that the layer has; its name tells both."""
    clamp, decay = (in_blocks(make_kan((3, 12, 9, 2), outside=each)).layers[1] for each in ("clamp", "decay"))
    assert InBlocks(RadialPowers(), 4).applies(clamp)
    assert not InBlocks(RadialPowers(), 8).applies(clamp)
    assert not InBlocks(RadialPowers(), 4).applies(decay)
    assert InBlocks(ClosedForm(), 2).applies(decay)
    assert InBlocks(ClosedForm(), 2).name == "closed_form_in_2_blocks"
    assert InBlocks(ClosedForm(), 2).has_product


def test_outputs_without_an_edge_are_in_the_first_part(make_kan: MakeKAN) -> None:
    """They have their constant still. A layer without any edge is one part."""
    layer = make_kan((3, 4)).layers[0]
    mask = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]).double()
    parts = InBlocks(ClosedForm(), 2).parts(layer.changed(edge_mask=mask))
    assert [(inputs.tolist(), outputs.tolist()) for inputs, outputs in parts] == [([0], [0, 1, 3]), ([2], [2])]
    ((inputs, outputs),) = InBlocks(ClosedForm(), 2).parts(layer.changed(edge_mask=0 * mask))
    assert (len(inputs), len(outputs)) == (3, 4)

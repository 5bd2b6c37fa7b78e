"""What the manifest tells of a network's shape."""

import torch

from kan_model import KAN, KANConfig
from kan_model.vision.geometry import Convolution
from kan_model.vision.image_kan import ImageConfig, ImageKAN
from kan_model.vision.unroll import unroll
from training.publishing.message.network import network_message


def test_levels_tell_sums_and_products() -> None:
    """[4, [1, 2], 1] of arity 3 has 7 sums in its hidden level: 4 · 7 functions feed them, 3 the output."""
    found = network_message(KAN(KANConfig((4, (1, 2), 1), arity=3)), None)
    assert list(found.width) == [4, 3, 1]
    assert [(each.adding, each.multiplying, each.sums, list(each.arities)) for each in found.levels] == [
        (4, 0, 0, []),
        (1, 2, 7, [3]),
        (1, 0, 1, []),
    ]
    assert found.functions == 4 * 7 + 3
    assert found.parameters == found.functions * (1 + 5 + 3)


def test_a_pruned_edge_is_no_function() -> None:
    """Only edges that are left count."""
    kan = KAN(KANConfig((3, 2)))
    with torch.no_grad():
        kan.layers[0].edge_mask[0, 1:] = 0
    assert network_message(kan, None).functions == 4


def test_functions_of_a_convolution_are_counted_once() -> None:
    """A function for each output channel, channel of the group and tap, however many pixels read it.

    Each has one number for silu and 3 + 5 coefficients here; the equal flat network has many times as many edges.
    """
    convolutions = (Convolution(4, pool="average"), Convolution(2, stride=2, groups=2))
    image = ImageKAN(ImageConfig((3, 8, 6), convolutions, ((0, 2), 5)))
    flat = unroll(image)
    found = network_message(flat, image)
    nodes = 2 * 2 * 2
    assert found.functions == 4 * 3 * 9 + 2 * 2 * 9 + nodes * 4 + 2 * 5
    assert found.parameters == found.functions * 9
    assert found.functions < sum(int(layer.active_edges.sum()) for layer in flat.layers) / 4
    assert [(each.channels, each.height, each.width, each.pool_size) for each in found.convolutions] == [
        (4, 4, 3, 2),
        (2, 2, 2, 1),
    ]
    assert [level.adding + level.multiplying for level in found.levels] == [nodes, 2, 5]
    assert found.levels[1].sums == 4

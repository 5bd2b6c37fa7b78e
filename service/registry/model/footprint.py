"""An upper estimate of the memory that a loaded version holds."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kan_api.v1.manifest_pb2 import Convolution, ModelManifest

_SESSION_BYTES = 512 * 1024
# The parsed file, the weights, and the weights in the layout of the operators.
_COPIES_OF_FILE = 3
# Basis values a node if the manifest has no grid size.
_USUAL_BASIS = 16
# How often the values of the largest layer are in memory at once, by the beginning of its strategy's name. Measured as
# growth of the process by runs of 4096 rows in onnxruntime 1.32, over basis values and sums: radial_powers 1.9 to 2.9,
# truncated_powers 1.3 to 2.8, segments 2.2 to 3.8, closed_form 2.6 to 4.8, cox_de_boor 4.4 to 7.1.
_COPIES = {"segments": 4, "closed_form": 5, "cox_de_boor": 7}
_USUAL_COPIES = 3
# "pieces" computes each edge by itself: 8 values an edge, of which onnxruntime reuses some (measured 4.5 to 5.9).
_PIECES, _COPIES_OF_EDGES = "pieces", 8
# A convolution by ONNX's Conv has no sums of single taps, but the images of the basis once more in two other layouts.
_CONV, _CONV_COPIES = "_by_conv", 2


@dataclass(frozen=True)
class _Layer:
    """Numbers a row: nodes that are read, sums that edges end in, edges. Of a convolution they count at each pixel."""

    reads: int
    sums: int
    edges: int


def memory_bytes(manifest: ModelManifest, model_bytes: int, batch_rows: int) -> int:
    """Memory of one session in bytes.

    Args:
        manifest: Has the features, and the shape and the strategies of the network.
        model_bytes: Size of model.onnx.
        batch_rows: Most rows of a run. onnxruntime keeps the memory of its largest run.
    """
    network, layers = manifest.network, list(_layers(manifest))
    basis = network.grid_size + network.degree + 2 if network.grid_size > 0 else _USUAL_BASIS
    strategies: Sequence[str] = manifest.lowering.strategies
    if len(strategies) != len(layers):
        strategies = [""] * len(layers)
    largest = max(_values(layer, basis, strategy) for layer, strategy in zip(layers, strategies, strict=True))
    return _SESSION_BYTES + _COPIES_OF_FILE * model_bytes + 4 * batch_rows * largest


def _values(layer: _Layer, basis: int, strategy: str) -> int:
    """Numbers a row that are in memory at once."""
    copies = next((count for name, count in _COPIES.items() if strategy.startswith(name)), _USUAL_COPIES)
    if strategy.endswith(_CONV):
        return (copies + _CONV_COPIES) * layer.reads * basis
    plain = copies * (layer.reads * basis + layer.sums)
    return plain + _COPIES_OF_EDGES * layer.edges if strategy.startswith(_PIECES) else plain


def _layers(manifest: ModelManifest) -> Iterator[_Layer]:
    """The layers, convolutions first; of a manifest without any, one that reads the features."""
    network, features = manifest.network, len(manifest.features)
    yield from _convolutions(manifest.image_shape, network.convolutions)
    if network.levels:
        reads = [level.adding + level.multiplying for level in network.levels]
        sums = [level.sums for level in network.levels]
    else:  # An older version, all of whose nodes add.
        reads = sums = [features, *network.width[1:]]
    if len(reads) < 2:
        yield _Layer(features, 0, 0)
    for nodes, ends in zip(reads, itertools.islice(sums, 1, None), strict=False):
        yield _Layer(nodes, ends, nodes * ends)


def _convolutions(image: Sequence[int], convolutions: Sequence[Convolution]) -> Iterator[_Layer]:
    """A convolution reads the padded image; each of its pixels has a sum for each tap and output channel."""
    if len(image) != 3:
        return
    channels, height, width = image
    for each in convolutions:
        pixels = math.prod(size + 2 * each.padding for size in (height, width))
        taps = each.kernel**2 * each.channels
        yield _Layer(pixels * channels, pixels * taps, pixels * channels * taps)
        channels, height, width = each.channels, each.height, each.width

"""The estimate of a session's memory against what onnxruntime's graph really holds."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest

from kan_api.v1.manifest_pb2 import Convolution as ConvolutionMessage
from kan_api.v1.manifest_pb2 import Feature, Level, Lowering, ModelManifest, Network
from kan_model import KAN, KANConfig
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.images.as_convolution import AsConvolution
from kan_model.lowering.images.network import image_model
from kan_model.lowering.strategies.pieces import Pieces
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.lowering.strategies.segments import Segments
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.network import Level as Nodes
from kan_model.onnx_runtime import open_session
from kan_model.vision.geometry import Convolution
from kan_model.vision.image_kan import ImageConfig, ImageKAN
from service.registry.model.footprint import memory_bytes
from training.publishing.message.network import network_message

_ROWS = 16
# Without rows the estimate is that of session and file.
_FIXED = memory_bytes(ModelManifest(), 0, 0)
RADIAL, SEGMENTS, PIECES = RadialPowers(), Segments(5), Pieces()


def _most_alive(model: onnx.ModelProto) -> int:
    """The largest sum of bytes a row of all values that are still to be read, by the shapes that onnxruntime gives."""
    nodes = model.graph.node
    names = [name for node in nodes for name in node.output]
    every = onnx.ModelProto()
    every.CopyFrom(model)
    del every.graph.output[:]
    every.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    features = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    values = open_session(every).run(np.full((_ROWS, features), 0.3, np.float32))
    # Constants are in the file; what depends on rows has a multiple of them.
    sizes = {name: value.nbytes for name, value in zip(names, values, strict=True) if value.size % _ROWS == 0}
    last = {name: place for place, node in enumerate(nodes) for name in node.input}
    return (
        max(
            sum(
                sizes.get(name, 0)
                for before in nodes[: place + 1]
                for name in before.output
                if last.get(name, len(nodes)) >= place
            )
            for place in range(len(nodes))
        )
        // _ROWS
    )


def _estimated(network: Network, strategies: Sequence[Strategy], features: int, image: Sequence[int] = ()) -> float:
    """Bytes a row."""
    manifest = ModelManifest(
        network=network,
        features=[Feature()] * features,
        image_shape=image,
        lowering=Lowering(strategies=[strategy.name for strategy in strategies]),
    )
    return (memory_bytes(manifest, 0, 1000) - _FIXED) / 1000


@pytest.mark.parametrize("strategy", [RADIAL, SEGMENTS, PIECES], ids=lambda strategy: strategy.name)
@pytest.mark.parametrize(("width", "arity"), [((64, 32, 10), 2), ((4, (0, 40), 1), 8), ((6, (2, 5), (0, 3)), 3)])
def test_a_network_with_products_fits_its_estimate(width: tuple[Nodes, ...], arity: int, strategy: Strategy) -> None:
    """Factors count, not only nodes: no more is alive than estimated, and at least a fifth of it is."""
    kan = KAN(KANConfig(width, arity=arity, grid_size=3))
    held = _most_alive(predicting_model(kan, None, None, [strategy] * len(kan.layers)))
    estimated = _estimated(network_message(kan, None), [strategy] * len(kan.layers), kan.width[0])
    assert estimated / 5 <= held <= estimated


@pytest.mark.parametrize("strategy", [RADIAL, SEGMENTS, PIECES, AsConvolution(RADIAL)], ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("shape", "convolutions"),
    [
        ((1, 8, 8), (Convolution(8, pool="average"), Convolution(16))),
        ((3, 12, 12), (Convolution(4, kernel=5, padding=2), Convolution(4, stride=2, groups=2))),
        ((1, 8, 8), (Convolution(2, kernel=7, padding=3),)),
    ],
)
def test_a_network_of_convolutions_fits_its_estimate(
    shape: tuple[int, int, int], convolutions: tuple[Convolution, ...], strategy: Strategy
) -> None:
    """Pixels, padding and the sums of single taps count: no more is alive than estimated, and at least a fifth."""
    image = ImageKAN(ImageConfig(shape, convolutions, (4,), grid_size=3))
    plain = strategy.strategy if isinstance(strategy, AsConvolution) else strategy
    strategies = [*[strategy] * len(convolutions), plain]
    held = _most_alive(image_model(image, None, None, strategies))
    network = network_message(image.head, image)
    estimated = _estimated(network, strategies, image.features, shape)
    assert estimated / 5 <= held <= estimated


def test_older_manifests_have_an_estimate_too() -> None:
    """Without levels the widths count, without a network the features; more rows take more."""
    features = [Feature()] * 64
    bare = memory_bytes(ModelManifest(features=features), 1000, 512)
    wide = ModelManifest(features=features, network=Network(width=[64, 32, 10], grid_size=8, degree=3))
    told = ModelManifest(features=features, network=wide.network)
    told.network.levels.extend([Level(adding=64), Level(adding=32, sums=32), Level(adding=10, sums=10)])
    assert bare > _FIXED
    assert memory_bytes(wide, 1000, 512) == memory_bytes(told, 1000, 512)
    assert memory_bytes(wide, 1000, 1024) > memory_bytes(wide, 1000, 512)


def test_convolutions_without_an_image_shape_are_passed_over() -> None:
    """A manifest that contradicts itself still has a number."""
    manifest = ModelManifest(network=Network(convolutions=[ConvolutionMessage(channels=4, kernel=3)]))
    assert memory_bytes(manifest, 0, 512) >= _FIXED

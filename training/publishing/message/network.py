"""The shape of a network as the manifest tells it: levels with their products, convolutions, what there is to learn."""

from collections.abc import Iterator

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN, parameter_count
from kan_model.network.layer import KANLayer
from kan_model.vision.image_kan import ImageKAN, image_parameter_count


def network_message(kan: KAN, image: ImageKAN | None) -> pb.Network:
    """The shape, and counts of what was trained: of an image network its own, not those of the equal flat network.

    Args:
        kan: The network, or the flat one that equals ``image``.
        image: The network on images; None: ``kan`` is all there is.
    """
    first, flat = kan.layers[0], kan if image is None else image.head
    layers = [] if image is None else [convolution.edges for convolution in image.convolutions]
    return pb.Network(
        width=kan.width,
        grid_size=first.grid_size,
        degree=first.degree,
        outside=first.outside,
        parameters=parameter_count(kan) if image is None else image_parameter_count(image),
        convolutions=() if image is None else _convolutions(image),
        levels=[pb.Level(adding=flat.width[0]), *map(_level, flat.layers)],
        functions=sum(int(layer.active_edges.sum()) for layer in (*layers, *flat.layers)),
    )


def _level(layer: KANLayer) -> pb.Level:
    """The nodes that a layer feeds."""
    counts = [1] * layer.outputs if layer.products is None else list(map(len, layer.products.factors))
    factors = [count for count in counts if count > 1]
    return pb.Level(
        adding=len(counts) - len(factors), multiplying=len(factors), sums=layer.sums, arities=sorted(set(factors))
    )


def _convolutions(image: ImageKAN) -> Iterator[pb.Convolution]:
    for layer, (channels, height, width) in zip(image.convolutions, image.shapes[1:], strict=True):
        geometry = layer.geometry
        yield pb.Convolution(
            channels=channels,
            height=height,
            width=width,
            kernel=geometry.kernel,
            stride=geometry.stride,
            padding=geometry.padding,
            groups=geometry.groups,
            pool=geometry.pool,
            pool_size=1 if geometry.pool == "none" else geometry.pool_size,
        )

"""The network in pictures, as HTML: its diagram, and behind a fold the curves of its strongest edges.

Of a network on images a table tells the layers; the diagram is of the flat network behind the convolutions, and the
curves are functions of the first convolution.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from kan_api.network_text import image_text, levels_text, pooling_text, size_text
from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model import KAN
from kan_model.analysis.edge_values import edge_values
from kan_model.plot import diagram, edge_detail
from kan_model.vision.image_kan import ImageKAN
from training.data.encoding import Numbers
from training.publishing.export import Trained
from training.publishing.manifest import input_names, output_names
from training.report.page import folded, image, paragraph, table

# Limits that fit the width of the page.
_MOST_CURVES, _MOST_EDGES = 16, 2
# Rows over which curves are drawn.
_ROWS = 1000
# Images whose pixels are in memory at once.
_IMAGE_ROWS = 128
# Rows whose edges are in memory at once.
_EDGE_ROWS = 64


def network_section(manifest: ModelManifest, trained: Trained, raw: Numbers) -> Iterator[str]:
    """The diagram, and the two strongest edges of the first layer.

    An edge is in units of the network; what it does to the answer may even be the opposite, so it is behind a fold.
    """
    kan = trained.kan
    if trained.image is not None:
        yield _layers_table(manifest)
    rows, given = drawn_rows(trained, raw)
    if len(rows) < 2:
        yield paragraph(f"No pictures: the network has no answer to {given - len(rows)} of {given} rows.")
        return
    outputs = output_names(manifest.classes, manifest.target, kan.width[-1], manifest.targets)
    if trained.image is not None:
        yield from _image_pictures(trained.image, rows, outputs)
        return
    names = input_names(manifest)
    yield image(diagram(kan, rows, names=names, outputs=outputs, most_curves=_MOST_CURVES), "the network")
    pictures = ""
    for output, input_ in _strongest_edges(kan, rows):
        # In a network of one layer the edges feed the outputs.
        products = kan.layers[0].products
        node = output if products is None else int(products.node_of[output])
        fed = outputs[node] if len(kan.layers) == 1 else f"node {node}"
        if products is not None and len(products.factors[node]) > 1:
            fed += f", factor {products.factors[node].index(output) + 1}"
        title, axis = f"{names[input_]} to {fed}", f"{names[input_]}, as the network reads it"
        figure = edge_detail(kan, rows, 0, output, input_, name=axis, title=title)
        pictures += image(figure, f"edge from {title}", "half")
    if pictures:
        yield folded("the strongest edges of the first layer, in units of the network", pictures)


def drawn_rows(trained: Trained, raw: Numbers) -> tuple[Tensor, int]:
    """The rows that curves are drawn over, as the network reads them, and from how many they were chosen.

    Args:
        trained: The network.
        raw: ``[rows, features]``; about 1,000 of them are looked at, and those with finite edges are drawn.
    """
    x = torch.from_numpy(raw[:: max(1, len(raw) // _ROWS)])
    given = (x if trained.inputs is None else trained.inputs(x)).to(trained.kan.dtype)
    return _answered_rows(trained.kan, given), len(given)


def _strongest_edges(kan: KAN, rows: Tensor) -> Iterator[tuple[int, int]]:
    """Sum and input of the first layer's strongest edges, the strongest one first."""
    with torch.no_grad():
        values = next(edge_values(kan, rows))
    # A constant edge gets no picture. It is found by its range, because rounding can give it a standard deviation.
    strength = torch.where(values.amax(dim=0) > values.amin(dim=0), values.std(dim=0), 0.0)
    for place in strength.flatten().argsort(descending=True)[:_MOST_EDGES].tolist():
        output, input_ = divmod(place, kan.width[0])
        if strength[output, input_] > 0:
            yield output, input_


def _layers_table(manifest: ModelManifest) -> str:
    """The layers of a network on images, with the image or the nodes behind each."""
    network = manifest.network
    rows = [
        [
            f"convolution {number}",
            f"{each.channels} × {each.height} × {each.width}",
            f"{each.kernel} × {each.kernel}",
            str(each.stride),
            str(each.padding),
            str(each.groups),
            pooling_text(each),
        ]
        for number, each in enumerate(network.convolutions, start=1)
    ]
    head = ["layer", "makes", "kernel", "stride", "padding", "groups", "pooling"]
    flat = (
        f"Behind them a flat network {levels_text(network)}. {size_text(network)}; an image is {image_text(manifest)}."
    )
    return table(head, rows) + paragraph(flat)


def _image_pictures(network: ImageKAN, rows: Tensor, outputs: tuple[str, ...]) -> Iterator[str]:
    """The flat network behind the convolutions, and the strongest functions of the first convolution."""
    with torch.no_grad():
        read = network.layer_inputs(rows[:_IMAGE_ROWS])
    channels, _, width = network.shapes[-1]
    names = [
        f"channel {channel + 1} at {pixel // width + 1}, {pixel % width + 1}"
        for pixel, channel in (divmod(node, channels) for node in range(network.head.width[0]))
    ]
    nodes = read[len(network.convolutions)]
    figure = diagram(network.head, nodes, names=names, outputs=outputs, most_curves=_MOST_CURVES)
    yield image(figure, "the flat network behind the convolutions; names are channel, row and column")
    geometry, edges = network.convolutions[0].geometry, KAN.of_layers([network.convolutions[0].edges])
    # By chance, because a fixed step may meet the same column of every image.
    some = torch.randperm(len(read[0]), generator=torch.Generator().manual_seed(0))[:_ROWS]
    pixels = read[0][some]
    pictures = ""
    for sum_, channel in _strongest_edges(edges, pixels):
        tap, made = divmod(sum_, geometry.channels)
        down, right = divmod(tap, geometry.kernel)
        title = f"input channel {channel + 1} to output channel {made + 1}, patch row {down + 1}, column {right + 1}"
        figure = edge_detail(edges, pixels, 0, sum_, channel, name="a pixel, as the network reads it", title=title)
        pictures += image(figure, title, "half")
    if pictures:
        yield folded("the strongest functions of the first convolution, in units of the network", pictures)


def _answered_rows(kan: KAN, rows: Tensor) -> Tensor:
    """The rows for which every edge is finite: a logarithm is not for arguments below 0."""
    kept = torch.isfinite(rows).all(dim=1)
    with torch.no_grad():
        for x, some in zip(torch.split(rows, _EDGE_ROWS), torch.split(kept, _EDGE_ROWS), strict=True):
            for layer in kan.layers:
                some &= torch.isfinite(layer.edge_outputs(x)).flatten(1).all(dim=1)
                x = layer(x)
            some &= torch.isfinite(x).all(dim=1)
    return rows[kept]

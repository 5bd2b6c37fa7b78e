"""The network in pictures, as HTML: its diagram, and behind a fold the curves of its strongest edges."""

from collections.abc import Iterator

import torch
from torch import Tensor

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model import KAN
from kan_model.analysis.edge_values import edge_values
from kan_model.plot import diagram, edge_detail
from training.data.encoding import Numbers
from training.publishing.export import Trained
from training.publishing.manifest import input_names, output_names
from training.report.page import folded, image, paragraph

# Limits that fit the width of the page.
_MOST_CURVES, _MOST_EDGES = 16, 2
# Rows over which curves are drawn.
_ROWS = 1000
# Rows whose edges are in memory at once.
_EDGE_ROWS = 64


def network_section(manifest: ModelManifest, trained: Trained, raw: Numbers) -> Iterator[str]:
    """The diagram, and the two strongest edges of the first layer.

    An edge is in units of the network; what it does to the answer may even be the opposite, so it is behind a fold.
    """
    kan = trained.kan
    x = torch.from_numpy(raw[:: max(1, len(raw) // _ROWS)])
    given = (x if trained.inputs is None else trained.inputs(x)).to(kan.dtype)
    rows = _answered_rows(kan, given)
    if len(rows) < 2:
        yield paragraph(f"No pictures: the network has no answer to {len(given) - len(rows)} of {len(given)} rows.")
        return
    names = input_names(manifest)
    outputs = output_names(manifest.classes, manifest.target, kan.width[-1], manifest.targets)
    yield image(diagram(kan, rows, names=names, outputs=outputs, most_curves=_MOST_CURVES), "the network")
    with torch.no_grad():
        values = next(edge_values(kan, rows))
    # A constant edge gets no picture. It is found by its range, because rounding can give it a standard deviation.
    strength = torch.where(values.amax(dim=0) > values.amin(dim=0), values.std(dim=0), 0.0)
    pictures = ""
    for place in strength.flatten().argsort(descending=True)[:_MOST_EDGES].tolist():
        output, input_ = divmod(place, kan.width[0])
        if strength[output, input_] > 0:
            # In a network of one layer the edges feed the outputs.
            products = kan.layers[0].products
            node = output if products is None else int(products.node_of[output])
            fed = outputs[node] if len(kan.layers) == 1 else f"node {node}"
            title, axis = f"{names[input_]} to {fed}", f"{names[input_]}, as the network reads it"
            figure = edge_detail(kan, rows, 0, output, input_, name=axis, title=title)
            pictures += image(figure, f"edge from {title}", "half")
    if pictures:
        yield folded("the strongest edges of the first layer, in units of the network", pictures)


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

"""explain.onnx as the manifest tells of it."""

from kan_api.v1 import manifest_pb2 as pb
from kan_model import KAN
from kan_model.lowering.emit.network import edges_name

# The memory for the edges of one run of explain.onnx.
_MAX_EDGE_BYTES = 64 * 1024**2


def explanation(kan: KAN) -> pb.Explanation:
    """The manifest's description of explain.onnx."""
    edges = [
        pb.TensorSpec(name=edges_name(index), datatype="FP32", shape=[-1, layer.sums, layer.inputs])
        for index, layer in enumerate(kan.layers)
    ]
    row_bytes = 4 * sum(layer.sums * layer.inputs for layer in kan.layers)
    return pb.Explanation(edges=edges, max_rows=max(1, _MAX_EDGE_BYTES // row_bytes))

"""An upper estimate of the memory that a loaded version holds."""

from kan_api.v1.manifest_pb2 import ModelManifest

# Measured with onnxruntime 1.32 after runs of 512 rows: [8,4,1] G=5 0.5 MiB, [64,32,10] G=8 3.7 MiB, [784,64,10] G=5
# 26 MiB. This formula gives 0.9, 4.2 and 36 MiB.
_SESSION_BYTES = 512 * 1024
# The parsed file, the weights, and the weights in the layout of the operators.
_COPIES_OF_FILE = 3
# Temporaries of the widest layer that are alive at once.
_TEMPORARIES = 2
# Spline values a feature if the manifest has no grid size.
_USUAL_BASIS = 16


def memory_bytes(manifest: ModelManifest, model_bytes: int, batch_rows: int) -> int:
    """Memory of one session in bytes.

    Args:
        manifest: Has the features, and the grid and the width of the network.
        model_bytes: Size of model.onnx.
        batch_rows: Most rows of a run. onnxruntime keeps the memory of its largest run.
    """
    network = manifest.network
    basis = network.grid_size + network.degree + 2 if network.grid_size > 0 else _USUAL_BASIS
    widest = max([len(manifest.features), *network.width])
    return _SESSION_BYTES + _COPIES_OF_FILE * model_bytes + _TEMPORARIES * 4 * batch_rows * widest * basis

"""onnxruntime for the offline half; import it from here only.

Its wheels send telemetry unless the variable is set before the first import.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray


def run(model: onnx.ModelProto, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The model's first output for ``rows``, on the CPU with one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: rows})[0]
    return result

"""onnxruntime for training and lowering. Import it only from here.

onnxruntime sends telemetry unless ORT_DISABLE_TELEMETRY is set before the first import.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

Rows32 = NDArray[np.float32]
VERSION: str = ort.__version__


class Session:
    """A model on the CPU with one thread."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    def run(self, rows: Rows32) -> list[Rows32]:
        """All outputs for ``rows`` [rows, inputs]."""
        outputs: list[Rows32] = self._session.run(None, {self._input: rows})
        return outputs

    def run_named(self, names: Sequence[str], feed: Mapping[str, Rows32]) -> list[Rows32]:
        """The outputs of these names, for a model with several inputs."""
        outputs: list[Rows32] = self._session.run(list(names), dict(feed))
        return outputs


def open_session(model: onnx.ModelProto) -> Session:
    """Load a model as the service does, on one CPU thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return Session(ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]))


def run(model: onnx.ModelProto, rows: Rows32) -> Rows32:
    """The model's first output for ``rows`` [rows, inputs]."""
    return open_session(model).run(rows)[0]

"""onnxruntime as every candidate is run: one thread, any large batch in blocks where a block is given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from service.registry.model.onnx_runtime import onnxruntime

Rows = NDArray[np.float32]


def open_session(model: bytes) -> Any:
    """A session on the CPU: one intra-op thread, one inter-op thread, all else as onnxruntime has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_model(model: onnx.ModelProto) -> Any:
    """The same for a model in memory."""
    return open_session(model.SerializeToString())


def caller(session: Any, inputs: tuple[Rows, ...], block_rows: int) -> Callable[[], list[Rows]]:
    """A call that answers all rows, in blocks of ``block_rows`` where there are more.

    Args:
        session: What open_session gave.
        inputs: One array ``[rows, columns]`` for each input of the model.
        block_rows: Rows of one run at most.

    Returns:
        A function; it gives the model's outputs, all rows of each.
    """
    names = [tensor.name for tensor in session.get_inputs()]
    rows = len(inputs[0])
    if rows <= block_rows:
        whole = dict(zip(names, inputs, strict=True))
        return lambda: session.run(None, whole)
    starts = range(0, rows, block_rows)
    blocks = [dict(zip(names, (x[start : start + block_rows] for x in inputs), strict=True)) for start in starts]

    def run_blocks() -> list[Rows]:
        parts = [session.run(None, block) for block in blocks]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    return run_blocks

"""Run a candidate in onnxruntime: on one thread, large batches in blocks if the candidate has a block size."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.registry.model.onnx_runtime import onnxruntime

Rows = NDArray[np.float32]


def open_session(model: bytes) -> Any:
    """A session on the CPU with one intra-op thread and one inter-op thread; all other options are the defaults."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def caller(session: Any, inputs: tuple[Rows, ...], block_rows: int) -> Callable[[], list[Rows]]:
    """A function that computes the answers to all rows, in blocks of at most ``block_rows`` rows.

    Args:
        session: The result of open_session.
        inputs: One array ``[rows, columns]`` for each input of the model.
        block_rows: The most rows of one run.

    Returns:
        A function that returns the model's outputs, all rows of each.
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

"""The session that every peer runs: onnxruntime on one thread, as in our server."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime


def open_session(path: str) -> onnxruntime.InferenceSession:
    """A session for the model in this file, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

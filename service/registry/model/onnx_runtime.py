"""The only module under service/ that imports onnxruntime itself: telemetry must be off before the import."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]

"""KANs as ONNX graphs of standard ops; see docs/numerics.md."""

from kan_model.lowering.driver import Lowered, lower
from kan_model.lowering.report import LoweringError, Report

__all__ = ["Lowered", "LoweringError", "Report", "lower"]

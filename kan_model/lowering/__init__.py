"""Lowering: write a KAN as an ONNX graph of standard operators; see docs/numerics.md."""

from kan_model.lowering.choose.report import LoweringError, Report
from kan_model.lowering.driver import Lowered, explain_exactly, lower

__all__ = ["Lowered", "LoweringError", "Report", "explain_exactly", "lower"]

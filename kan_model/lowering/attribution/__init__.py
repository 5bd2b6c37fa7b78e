"""attribution.onnx: how much each column contributes to each answer, as a graph of its own.

The rule is the one of :mod:`kan_model.analysis.contributions`. The graph takes rows and reference rows, stacks them so
that each operator runs once for both, and computes in float64, so that small differences keep their digits. A layer is
a product of fixed functions of its inputs with fixed weights; functions are subtracted before the product.

Example: y = 2·x₁ + x₂², with the row (3, 2) and the reference row (1, 0). The functions are x₁ and x₂², their
differences 2 and 4, the contributions 4 and 4. They add up to y(3, 2) − y(1, 0) = 10 − 2.
"""

from kan_model.lowering.attribution.graph import INPUT_NAMES, OUTPUT_NAMES
from kan_model.lowering.attribution.model import attribution_model
from kan_model.lowering.attribution.size import bytes_per_row

__all__ = ["INPUT_NAMES", "OUTPUT_NAMES", "attribution_model", "bytes_per_row"]

"""Kolmogorov–Arnold networks: splines, layers, grids, checkpoints and their lowering to ONNX."""

from kan_model import checkpoint, lowering
from kan_model.functions import FUNCTIONS
from kan_model.grid import refine_grid
from kan_model.layer import KANLayer
from kan_model.network import KAN, KANConfig
from kan_model.symbolic import SymbolicEdge

__all__ = [
    "FUNCTIONS",
    "KAN",
    "KANConfig",
    "KANLayer",
    "SymbolicEdge",
    "checkpoint",
    "lowering",
    "refine_grid",
]

"""Kolmogorov–Arnold networks: splines, layers, grids, checkpoints and their lowering to ONNX."""

from kan_model import checkpoint, lowering
from kan_model.grid import refine_grid
from kan_model.layer import KANLayer
from kan_model.network import KAN, KANConfig

__all__ = ["KAN", "KANConfig", "KANLayer", "checkpoint", "lowering", "refine_grid"]

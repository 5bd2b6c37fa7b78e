"""Kolmogorov–Arnold networks: splines, layers, grids, pruning, interop, checkpoints and their lowering to ONNX.

Formulas are in :mod:`kan_model.formula` and pictures in :mod:`kan_model.plot`, which load sympy and matplotlib.
"""

from kan_model import checkpoint, interop, lowering
from kan_model.adaptation import Adaptation, adapt_grid
from kan_model.attribution import Attribution, attribute, interactions
from kan_model.functions import ALIASES, FUNCTIONS
from kan_model.grid import refine_grid
from kan_model.layer import KANLayer
from kan_model.network import KAN, KANConfig, parameter_count
from kan_model.pruning import Pruned, prune
from kan_model.symbolic import SymbolicEdge
from kan_model.symbolic_choice import Candidate, EdgeReport, Symbolized, auto, fix, suggest
from kan_model.symbolic_constants import fit_constants

__all__ = [
    "ALIASES",
    "FUNCTIONS",
    "KAN",
    "Adaptation",
    "Attribution",
    "Candidate",
    "EdgeReport",
    "KANConfig",
    "KANLayer",
    "Pruned",
    "SymbolicEdge",
    "Symbolized",
    "adapt_grid",
    "attribute",
    "auto",
    "checkpoint",
    "fit_constants",
    "fix",
    "interactions",
    "interop",
    "lowering",
    "parameter_count",
    "prune",
    "refine_grid",
    "suggest",
]

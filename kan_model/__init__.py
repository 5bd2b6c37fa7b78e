"""Kolmogorov–Arnold networks: splines, layers, grids, pruning, formulas, interop, and their lowering to ONNX.

Four modules are loaded on first use, because they import other libraries: :mod:`kan_model.lowering` (onnx,
onnxruntime), :mod:`kan_model.formula` (sympy), :mod:`kan_model.plot` (matplotlib) and :mod:`kan_model.interop`.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from kan_model.analysis.attribution import Attribution, attribute, interactions
from kan_model.analysis.pruning import Pruned, prune
from kan_model.grids.adaptation import Adaptation, adapt_grid
from kan_model.grids.refinement import refine_grid
from kan_model.moved import old_module, serve_old_names
from kan_model.network import checkpoint
from kan_model.network.functions import ALIASES, FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN, KANConfig, parameter_count
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.symbolic.choice import Candidate, EdgeReport, Symbolized, auto_symbolic, fix_symbolic, suggest_symbolic
from kan_model.symbolic.constants import fit_constants

if TYPE_CHECKING:
    from kan_model import formula, interop, lowering, plot

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
    "auto_symbolic",
    "checkpoint",
    "fit_constants",
    "fix_symbolic",
    "formula",
    "interactions",
    "interop",
    "lowering",
    "parameter_count",
    "plot",
    "prune",
    "refine_grid",
    "suggest_symbolic",
]

_ON_FIRST_USE = ("formula", "interop", "lowering", "plot")

_MOVED = {
    "bspline": "splines.bspline",
    "grid": "grids.refinement",
    "adaptation": "grids.adaptation",
    "breaks": "grids.breaks",
    "layer": "network.layer",
    "functions": "network.functions",
    "transform": "network.transform",
    "checkpoint": "network.checkpoint",
    "connections": "network.connections",
    "edge_values": "analysis.edge_values",
    "attribution": "analysis.attribution",
    "penalty": "analysis.penalty",
    "pruning": "analysis.pruning",
    "symbolic_choice": "symbolic.choice",
    "symbolic_constants": "symbolic.constants",
    "symbolic_fit": "symbolic.fit",
    "symbolic_polish": "symbolic.polish",
    "symbolic_search": "symbolic.search",
    "periodogram": "symbolic.periodogram",
    "invariance": "symbolic.invariance",
    "formula_short": "formula.short",
    "formula_steps": "formula.steps",
    "formula_text": "formula.text",
    "lowering.graph": "onnx_graph",
    "lowering.strategy": "lowering.strategies.strategy",
    "lowering.closed_form": "lowering.strategies.closed_form",
    "lowering.cox_de_boor": "lowering.strategies.cox_de_boor",
    "lowering.radial_powers": "lowering.strategies.radial_powers",
    "lowering.segments": "lowering.strategies.segments",
    "lowering.truncated_powers": "lowering.strategies.truncated_powers",
    "lowering.pieces": "lowering.strategies.pieces",
    "lowering.columns": "lowering.strategies.change_of_basis",
    "lowering.elementwise": "lowering.strategies.elementwise",
    "lowering.network": "lowering.emit.network",
    "lowering.nodes": "lowering.emit.nodes",
    "lowering.edges": "lowering.emit.edges",
    "lowering.base": "lowering.emit.silu",
    "lowering.symbolic_edges": "lowering.emit.symbolic_edges",
    "lowering.pruned": "lowering.emit.pruned",
    "lowering.precision": "lowering.emit.precision",
    "lowering.reference": "lowering.checks.reference",
    "lowering.regions": "lowering.checks.regions",
    "lowering.rounding": "lowering.checks.rounding",
    "lowering.scale": "lowering.checks.scale",
    "lowering.search": "lowering.choose.search",
    "lowering.timing": "lowering.choose.timing",
    "lowering.report": "lowering.choose.report",
}

serve_old_names({f"{__name__}.{old}": f"{__name__}.{new}" for old, new in _MOVED.items()})


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return importlib.import_module(f"{__name__}.{name}")
    if name in ("auto", "fix", "suggest"):
        warnings.warn(f"{__name__}.{name} is {__name__}.{name}_symbolic now", DeprecationWarning, stacklevel=2)
        return globals()[f"{name}_symbolic"]
    return old_module(__name__, name)

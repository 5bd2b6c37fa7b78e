"""Kolmogorov–Arnold networks: splines, layers, grids, pruning, formulas, interop, and their lowering to ONNX.

Nothing is loaded before its first use: ``kan_model.KAN`` loads torch, :mod:`kan_model.lowering` onnx and onnxruntime,
:mod:`kan_model.formula` sympy and :mod:`kan_model.plot` matplotlib.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from kan_model.moved import old_module, serve_old_names

if TYPE_CHECKING:
    from kan_model import formula, interop, lowering, plot
    from kan_model.analysis.attribution import Attribution, attribute, interactions
    from kan_model.analysis.pruning import Pruned, prune
    from kan_model.grids.adaptation import Adaptation, adapt_grid
    from kan_model.grids.refinement import refine_grid
    from kan_model.network import checkpoint
    from kan_model.network.functions import ALIASES, FUNCTIONS
    from kan_model.network.layer import KANLayer
    from kan_model.network.network import KAN, KANConfig, parameter_count
    from kan_model.network.symbolic_edge import SymbolicEdge
    from kan_model.symbolic.choice import (
        Candidate,
        EdgeReport,
        Symbolized,
        auto_symbolic,
        fix_symbolic,
        suggest_symbolic,
    )
    from kan_model.symbolic.constants import fit_constants

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

_ROOMS = ("analysis", "grids", "network", "splines", "symbolic")
_HOMES = {
    "Attribution": "analysis.attribution",
    "attribute": "analysis.attribution",
    "interactions": "analysis.attribution",
    "Pruned": "analysis.pruning",
    "prune": "analysis.pruning",
    "Adaptation": "grids.adaptation",
    "adapt_grid": "grids.adaptation",
    "refine_grid": "grids.refinement",
    "ALIASES": "network.functions",
    "FUNCTIONS": "network.functions",
    "KANLayer": "network.layer",
    "KAN": "network.network",
    "KANConfig": "network.network",
    "parameter_count": "network.network",
    "SymbolicEdge": "network.symbolic_edge",
    "Candidate": "symbolic.choice",
    "EdgeReport": "symbolic.choice",
    "Symbolized": "symbolic.choice",
    "auto_symbolic": "symbolic.choice",
    "fix_symbolic": "symbolic.choice",
    "suggest_symbolic": "symbolic.choice",
    "fit_constants": "symbolic.constants",
}

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
    if name in ("formula", "interop", "lowering", "plot"):
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES or name in _ROOMS or name == "checkpoint":
        # All at once, so that kan_model.network.layer and the like are attributes too.
        for home in {*_HOMES.values(), "network.checkpoint"}:
            importlib.import_module(f"{__name__}.{home}")
        place = _HOMES.get(name, "network.checkpoint" if name == "checkpoint" else name)
        found = importlib.import_module(f"{__name__}.{place}")
        return getattr(found, name) if name in _HOMES else found
    if name in ("auto", "fix", "suggest"):
        warnings.warn(f"{__name__}.{name} is {__name__}.{name}_symbolic now", DeprecationWarning, stacklevel=2)
        return __getattr__(f"{name}_symbolic")
    return old_module(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})

"""Kolmogorov–Arnold networks: splines, layers, grids, pruning, formulas, interop, and their lowering to ONNX.

Nothing is loaded before its first use: ``kan_model.KAN`` loads torch, :mod:`kan_model.lowering` onnx and onnxruntime,
:mod:`kan_model.formula` sympy and :mod:`kan_model.plot` matplotlib.
"""

import ast
import importlib
import pkgutil
import warnings
from typing import Any

from kan_model.moved import old_module, serve_old_names

# The home of each public name: the module or package from which __init__.pyi imports it, for type checkers too.
_STUB = ast.parse(pkgutil.get_data(__name__, "__init__.pyi"))
_IMPORTS = [each for each in _STUB.body if isinstance(each, ast.ImportFrom) and each.module.startswith(__name__)]
_HOMES = {alias.name: each.module for each in _IMPORTS for alias in each.names}
_ROOMS = ("analysis", "ensemble", "grids", "monotone", "network", "rows", "splines", "symbolic", "vision")
__all__ = sorted(_HOMES)

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
    if _HOMES.get(name) == __name__:  # a room that loads more than torch
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES or name in _ROOMS:
        # All at once, so that kan_model.network.layer and the like are attributes too.
        for each, home in _HOMES.items():
            if home != __name__:
                _load(home, each)
        return _load(_HOMES.get(name, __name__), name)
    if name in ("auto", "fix", "suggest"):
        warnings.warn(f"{__name__}.{name} is {__name__}.{name}_symbolic now", DeprecationWarning, stacklevel=2)
        return __getattr__(f"{name}_symbolic")
    return old_module(__name__, name)


def _load(home: str, name: str) -> Any:
    """What ``from home import name`` gives: a module of a package, an attribute of a module."""
    module = importlib.import_module(home)
    is_package = hasattr(module, "__path__")
    return importlib.import_module(f"{home}.{name}") if is_package else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_ROOMS})

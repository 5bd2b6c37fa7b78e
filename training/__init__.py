"""Train KANs on tables and publish them, offline, with torch.

The order of the work: `recipe` → `data` → `fitting` → `steps` (prune, formulas) → `publishing` → `report`. `pipelines`
joins these rooms. `draft` writes the first recipe for a table. `cli` is the command kan-train. `estimators` do the same
in scikit-learn's manner: ``from training import KANClassifier, KANRegressor``, which are loaded on their first use.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kan_model.moved import old_module, serve_old_names

# Modules that were in `training` itself and kept their names, by their room.
_ROOMS = {
    "recipe": "config sections fit_sections",
    "data": "table column missing encoding split source samples objective preparation",
    "draft": "inspection proposal",
    "fitting": "fit optimizers least_squares grids record evaluation continual baseline",
    "publishing": "export publish publication manifest triton verify version whole_formula",
    "report": "charts page summary",
    "pipelines": "importing continuation continuation_start tune run_folder older_run progress interruption",
    "pipelines.importing": "importing.account importing.origin importing.rows importing.wanted",
}
_RENAMED = {
    "recipe_mistakes": "recipe.mistakes",
    "magnitude": "data.float32_limits",
    "remarks": "steps.fit_diagnostics",
    "pipeline": "pipelines.train",
    "run_identity": "pipelines.run_folder",
    "pipelines.run_identity": "pipelines.run_folder",
}
_KEPT = {old: f"{room}.{old.rpartition('.')[2]}" for room, modules in _ROOMS.items() for old in modules.split()}

serve_old_names(
    {f"{__name__}.{old}": f"{__name__}.{new}" for old, new in (_KEPT | _RENAMED).items()}
    | {
        "training.experiments": "benchmarks.paper",
        "training.experiments.digits_pruned": "benchmarks.paper.digits_pruned",
        "training.experiments.five_peaks": "benchmarks.paper.five_peaks",
        "training.experiments.symbolic_recovery": "benchmarks.paper.symbolic_recovery",
    }
)


if TYPE_CHECKING:
    from training.estimators import KANClassifier as KANClassifier
    from training.estimators import KANRegressor as KANRegressor

_ESTIMATORS = ("KANClassifier", "KANRegressor")


def __getattr__(name: str) -> Any:
    if name in _ESTIMATORS:
        return getattr(importlib.import_module(f"{__name__}.estimators"), name)
    return old_module(__name__, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ESTIMATORS})

"""Train KANs on tables and publish them, offline, with torch.

The order of the work: `recipe` → `data` → `fitting` → `steps` (prune, formulas) → `publishing` → `report`. `pipelines`
joins these rooms. `draft` writes the first recipe for a table. `cli` is the command kan-train.
"""

from typing import Any

from kan_model.moved import old_module, serve_old_names

_MOVED = {
    "config": "recipe.config",
    "sections": "recipe.sections",
    "fit_sections": "recipe.fit_sections",
    "recipe_mistakes": "recipe.mistakes",
    "table": "data.table",
    "column": "data.column",
    "missing": "data.missing",
    "encoding": "data.encoding",
    "split": "data.split",
    "source": "data.source",
    "magnitude": "data.float32_limits",
    "samples": "data.samples",
    "objective": "data.objective",
    "preparation": "data.preparation",
    "inspection": "draft.inspection",
    "proposal": "draft.proposal",
    "fit": "fitting.fit",
    "optimizers": "fitting.optimizers",
    "least_squares": "fitting.least_squares",
    "grids": "fitting.grids",
    "record": "fitting.record",
    "evaluation": "fitting.evaluation",
    "continual": "fitting.continual",
    "baseline": "fitting.baseline",
    "remarks": "steps.fit_diagnostics",
    "export": "publishing.export",
    "publish": "publishing.publish",
    "publication": "publishing.publication",
    "manifest": "publishing.manifest",
    "triton": "publishing.triton",
    "verify": "publishing.verify",
    "version": "publishing.version",
    "whole_formula": "publishing.whole_formula",
    "charts": "report.charts",
    "page": "report.page",
    "summary": "report.summary",
    "pipeline": "pipelines.train",
    "importing": "pipelines.importing",
    "continuation": "pipelines.continuation",
    "continuation_start": "pipelines.continuation_start",
    "tune": "pipelines.tune",
    "run_folder": "pipelines.run_folder",
    "run_identity": "pipelines.run_identity",
    "older_run": "pipelines.older_run",
    "progress": "pipelines.progress",
    "interruption": "pipelines.interruption",
    "importing.account": "pipelines.importing.account",
    "importing.origin": "pipelines.importing.origin",
    "importing.rows": "pipelines.importing.rows",
    "importing.wanted": "pipelines.importing.wanted",
}

serve_old_names(
    {f"{__name__}.{old}": f"{__name__}.{new}" for old, new in _MOVED.items()}
    | {
        "training.experiments": "benchmarks.paper",
        "training.experiments.digits_pruned": "benchmarks.paper.digits_pruned",
        "training.experiments.five_peaks": "benchmarks.paper.five_peaks",
        "training.experiments.symbolic_recovery": "benchmarks.paper.symbolic_recovery",
    }
)


def __getattr__(name: str) -> Any:
    return old_module(__name__, name)

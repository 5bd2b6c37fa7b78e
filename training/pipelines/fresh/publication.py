"""From a fit that was judged to what is published: verified graphs, the manifest, the report."""

from dataclasses import dataclass

from kan_api.v1.manifest_pb2 import ModelManifest
from training.pipelines.fresh.judged_fit import JudgedFit
from training.pipelines.release import export_graphs, make_report
from training.publishing.drift import describe_drift
from training.publishing.export import Exported
from training.publishing.manifest import build_manifest
from training.publishing.verify import VerificationFailed
from training.recipe.config import Recipe
from training.steps.advice import FOR_RECIPES, Advice
from training.steps.fit_diagnostics import suggest_change
from training.steps.state import Check


@dataclass(frozen=True)
class Publication:
    """Everything that a version is made of.

    Attributes:
        fit: The fit that is published.
        exported: The graphs.
        manifest: Without the number of the version and its files.
        page: The report.
    """

    fit: JudgedFit
    exported: Exported
    manifest: ModelManifest
    page: bytes


def write_publication(recipe: Recipe, fit: JudgedFit, check: Check, advice: Advice = FOR_RECIPES) -> Publication:
    """Lower and verify the graphs, and describe them.

    Formulas that no graph computes closely enough give way to their network of splines; one of the whole network is
    told beside it.

    Args:
        recipe: The recipe that was run.
        fit: What came of it.
        check: Called between the steps; it may raise to end the work.
        advice: What a refusal advises to its reader.

    Raises:
        VerificationFailed: the graphs' answers differ too much from torch's.
    """
    fit, exported = _export_either(recipe, fit, advice)
    dataset, trained = fit.dataset, fit.trained
    check()
    manifest = build_manifest(
        recipe,
        dataset,
        exported,
        formula=fit.formula,
        beside=fit.metrics,
        attribution=fit.attribution,
        tested_rows=fit.tested_rows,
        formula_details=fit.formula_details,
        intervals=fit.intervals,
        calibration=None if fit.calibrated is None else fit.calibrated.message,
    )
    describe_drift(manifest, trained, dataset.x[dataset.train], dataset.input_columns)
    page = make_report(dataset, trained, manifest, fit.history, fit.all_notes, fit.judged, fit.latex, fit.covariances)
    check()
    return Publication(fit, exported, manifest, page)


def with_servable_network(recipe: Recipe, fit: JudgedFit) -> JudgedFit:
    """The fit that :func:`write_publication` would publish, known without timing any graph.

    Args:
        recipe: The recipe that was run.
        fit: What came of it. If it has formulas that no graph computes closely enough, its network of splines is given;
            if that has no such graph either, the fit as it is.
    """
    if fit.keep_splines is None:
        return fit
    untimed = recipe.model_copy(update={"lowering": recipe.lowering.model_copy(update={"tune_for": ()})})
    try:
        return _export_either(untimed, fit, FOR_RECIPES)[0]
    except VerificationFailed:
        return fit


def _export_either(recipe: Recipe, fit: JudgedFit, advice: Advice) -> tuple[JudgedFit, Exported]:
    """The fit whose graphs passed the verification: the given one or, if it has formulas, that of its splines."""
    try:
        return fit, _export(recipe, fit, advice)
    except VerificationFailed as error:
        if fit.keep_splines is None:
            raise
        what = "the formula is told and not served" if fit.formula else "no formula of an edge is served"
        splines = fit.keep_splines(f"warning   {what}: {error.__cause__}")
        try:
            return splines, _export(recipe, splines, advice)
        except VerificationFailed:
            raise error from None


def _export(recipe: Recipe, fit: JudgedFit, advice: Advice) -> Exported:
    hint = suggest_change(fit.trained.kan, advice)
    return export_graphs(recipe, fit.dataset, fit.trained, hint, notes=fit.all_notes)

"""A recipe's way from a table to a published model version."""

from kan_api.v1.manifest_pb2 import Formula
from training.data.dataset import Dataset, prepare_table
from training.data.preparation import input_transform, new_network, output_transform
from training.data.source import load_source
from training.fitting.fit import FitState
from training.pipelines.continuation import continue_version
from training.pipelines.fresh.fit import SingleFit, fresh_fit
from training.pipelines.fresh.judged_fit import JudgedFit
from training.pipelines.fresh.kept_fit import KeptFit, stop_if_asked
from training.pipelines.fresh.kept_run import keep_run
from training.pipelines.fresh.older_run import check_older_split
from training.pipelines.fresh.refit import fit_again
from training.pipelines.images import train_images
from training.pipelines.interruption import Interruption, catch_interruption
from training.pipelines.release import export_graphs, judge_on_test, make_report, publish_version
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError
from training.pipelines.watcher import Watcher
from training.publishing.drift import describe_drift
from training.publishing.export import Trained
from training.publishing.manifest import build_manifest, outline
from training.publishing.publish import Published, check_successor
from training.publishing.whole_formula import formula_details
from training.steps import Finished, StepData, finish
from training.steps.fit_diagnostics import suggest_change
from training.threads import threads_for, torch_threads

__all__ = ["Run", "Watcher", "train"]


# Fits take more threads where that is worth it. Elsewhere torch's threads would spin beside those of other processes.
@torch_threads(1)
def train(run: Run, watcher: Watcher) -> Published:
    """Train, export, verify and publish; where the recipe continues from a version, train that one further.

    Args:
        run: What and where.
        watcher: Is told of the progress.

    Raises:
        Interrupted: SIGINT came; the state is kept.
        TrainingError: anything else that the person at the keyboard can mend; nothing is published then.
    """
    with run.folder.lock():
        if run.recipe.model.continue_from is not None:
            return continue_version(run, watcher)
        return _train_anew(run, watcher) if run.recipe.image is None else train_images(run, watcher)


def _train_anew(run: Run, watcher: Watcher) -> Published:
    recipe = run.recipe
    source = load_source(recipe.data)
    dataset = prepare_table(recipe, *source)
    check_successor(run.models, outline(recipe, dataset))
    is_refit = recipe.ensemble is not None and recipe.ensemble.refit
    if not is_refit:
        del source
    with catch_interruption() as stop:
        watcher.on_prepared(dataset)
        fit = _fit_and_judge(run, dataset, stop, watcher)
        if is_refit:
            fit = fit_again(run, fit, source, stop, watcher)
        hint = suggest_change(fit.trained.kan)
        exported = export_graphs(recipe, fit.dataset, fit.trained, hint, notes=fit.notes)
        stop_if_asked(stop, run.folder)
        manifest = build_manifest(
            recipe,
            fit.dataset,
            exported,
            formula=fit.formula,
            beside=fit.metrics,
            attribution=fit.attribution,
            tested_rows=fit.tested_rows,
            formula_details=fit.formula_details,
        )
        describe_drift(manifest, fit.trained, fit.dataset.x[fit.dataset.train])
        page = make_report(fit.dataset, fit.trained, manifest, fit.history, fit.notes, fit.judged, fit.latex)
        stop_if_asked(stop, run.folder)
        return publish_version(run, dataset, manifest, exported, page, fit.notes)


def _fit_and_judge(run: Run, dataset: Dataset, stop: Interruption, watcher: Watcher) -> JudgedFit:
    """Fit the rows that train, take the steps after the fit, and answer the test rows."""
    recipe = run.recipe
    inputs = input_transform(dataset, recipe.inputs.scaling)
    kan = new_network(dataset, recipe, inputs)
    table = StepData.of(dataset, inputs, output_transform(dataset), kan.dtype)
    way = fresh_fit(recipe, kan, table)
    fit = KeptFit(way, recipe, dataset, run.folder)
    state = fit.go_on(_start_or_resume(run, fit, table), stop, watcher)
    network, chosen = way.network(state), way.chosen(state)
    diagnostics = way.notes(state)
    keep_run(run.folder.path, network, recipe, dataset.fingerprint)
    # The refit computes the attribution of its own network.
    steps = chosen.model_copy(update={"attribution": None}) if chosen.ensemble and chosen.ensemble.refit else chosen
    with torch_threads(threads_for(network, recipe.fit.batch_rows or len(dataset.train))):
        finished = finish(network, steps, table, lambda: stop_if_asked(stop, run.folder), watcher.on_message)
    trained = Trained(finished.kan, table.inputs, table.outputs)
    return JudgedFit(
        dataset=dataset,
        trained=trained,
        recipe=chosen,
        history=(*state.history, *finished.history),
        notes=(*diagnostics, *finished.notes),
        metrics={**way.metrics(state), **finished.metrics},
        judged=judge_on_test(dataset, trained),
        formula=finished.formula,
        latex=finished.latex,
        attribution=finished.attribution,
        formula_details=_describe_formula(dataset, finished, table),
    )


def _describe_formula(dataset: Dataset, finished: Finished, table: StepData) -> Formula | None:
    if (found := finished.found) is None:
        return None
    formula, network = (Trained(kan, table.inputs, table.outputs) for kan in (found.kan, found.splines))
    return formula_details(dataset, found.written, formula, network, served=found.is_served)


def _start_or_resume(run: Run, fit: KeptFit, table: StepData) -> FitState:
    if run.resume:
        state, has_split = run.folder.load_state(fit.identity)
        if not has_split and isinstance(fit.way, SingleFit):
            check_older_split(state, run.recipe, fit.way.kan, table)
        return state
    if run.folder.has_state() and not run.fresh:
        raise RunError(
            f"{run.folder.path} holds an unfinished run; go on with it by --resume, or start anew by --fresh"
        )
    run.folder.drop_state()
    return fit.way.begin()

"""A recipe's way from a table to a published model version."""

import time
from dataclasses import replace

from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform
from training.errors import Interrupted
from training.fitting.fit import FitState
from training.pipelines.continuation import continue_version
from training.pipelines.fresh_fit import FreshFit, SingleFit, fresh_fit
from training.pipelines.interruption import Interruption, catch_interruption
from training.pipelines.older_run import check_older_split
from training.pipelines.release import export_graphs, make_report, publish_version
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError, RunIdentity, identity_of
from training.pipelines.watcher import Watcher
from training.publishing.export import Trained
from training.publishing.manifest import build_manifest, outline
from training.publishing.publish import Published, check_successor
from training.steps import StepData, finish
from training.steps.fit_diagnostics import suggest_change
from training.threads import threads_for, torch_threads

__all__ = ["Run", "Watcher", "train"]

_SECONDS_BETWEEN_CHECKPOINTS = 5.0


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
        return _train_anew(run, watcher) if run.recipe.model.continue_from is None else continue_version(run, watcher)


def _train_anew(run: Run, watcher: Watcher) -> Published:
    recipe = run.recipe
    dataset = prepare(recipe)
    check_successor(run.models, outline(recipe, dataset))
    inputs = input_transform(dataset, recipe.inputs.scaling)
    with catch_interruption() as stop:
        watcher.on_prepared(dataset)
        kan = new_network(dataset, recipe, inputs)
        table = StepData.of(dataset, inputs, output_transform(dataset), kan.dtype)
        way = fresh_fit(recipe, kan, table)
        state = _fit_network(run, way, table, stop, watcher)
        network = way.network(state)
        diagnostics = way.notes(state)
        with torch_threads(threads_for(network, recipe.fit.batch_rows or len(dataset.train))):
            finished = finish(network, way.chosen(state), table, lambda: _stop_if_asked(stop, run), watcher.on_message)
        finished = replace(finished, notes=(*diagnostics, *finished.notes))
        trained = Trained(finished.kan, table.inputs, table.outputs)
        exported = export_graphs(recipe, dataset, trained, suggest_change(finished.kan), notes=finished.notes)
        _stop_if_asked(stop, run)
        manifest = build_manifest(
            recipe,
            dataset,
            exported,
            formula=finished.formula,
            beside={**way.metrics(state), **finished.metrics},
            attribution=finished.attribution,
        )
        history = [*state.history, *finished.history]
        page = make_report(dataset, trained, manifest, history, finished.notes, finished.latex)
        _stop_if_asked(stop, run)
        return publish_version(run, dataset, manifest, exported, page, finished.notes)


def _fit_network(run: Run, way: FreshFit, table: StepData, stop: Interruption, watcher: Watcher) -> FitState:
    """Go through the fit; keep its state from time to time and when asked to stop."""
    identity = identity_of(run.recipe, table.dataset)
    state = _start_or_resume(run, way, table, identity)
    kept = time.monotonic()
    with torch_threads(threads_for(state.kan, run.recipe.fit.batch_rows or len(table.train.x))):
        steps, told = way.steps(state), len(state.blocks)
        for state in steps:
            watcher.on_step(state)
            for block in state.blocks[told:]:
                watcher.on_message(block.text)
            told = len(state.blocks)
            asked = stop.requested  # read once: it may turn true between two looks
            if asked or time.monotonic() - kept > _SECONDS_BETWEEN_CHECKPOINTS:
                run.folder.save_state(state, identity)
                kept = time.monotonic()
            if asked:
                _stop_if_asked(stop, run)
    run.folder.save_state(state, identity)
    _stop_if_asked(stop, run)
    return state


def _start_or_resume(run: Run, way: FreshFit, table: StepData, identity: RunIdentity) -> FitState:
    if run.resume:
        state, has_split = run.folder.load_state(identity)
        if not has_split and isinstance(way, SingleFit):
            check_older_split(state, run.recipe, way.kan, table)
        return state
    if run.folder.has_state() and not run.fresh:
        raise RunError(
            f"{run.folder.path} holds an unfinished run; go on with it by --resume, or start anew by --fresh"
        )
    return way.begin()


def _stop_if_asked(stop: Interruption, run: Run) -> None:
    """End the run where its state is kept."""
    if stop.requested:
        raise Interrupted(f"stopped; the run is kept in {run.folder.path}: the same command with --resume goes on")

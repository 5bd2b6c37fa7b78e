"""A recipe's way from a table to a published model version."""

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from kan_model import KAN
from kan_model.transform import InputTransform, OutputTransform
from training.config import Recipe
from training.continuation import continued_manifest, learn_on, start
from training.data import Dataset, held_out_table, prepare
from training.errors import Interrupted
from training.export import Plan, Trained, export, files, metadata
from training.fit import FitState, begin, fit_steps
from training.interruption import Interruption, interruption
from training.manifest import build_manifest, outline
from training.preparation import input_transform, new_network, output_transform, samples
from training.publish import Published, check_successor, publish
from training.report import NAME as REPORT
from training.report import report
from training.run_folder import RunError, RunFolder
from training.steps import Table, finish
from training.threads import threads_for, torch_threads
from training.verify import VerificationFailed

_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_HINT = "change [verify] tolerance and go on with --resume, or train with fewer intervals or scaled inputs"
_SYMBOLIC_HINT = ", or name [symbolic] functions that answer everywhere, without log, sqrt, 1/x and the like"


@dataclass(frozen=True)
class Run:
    """What to train and where to put it.

    Attributes:
        recipe: The checked recipe.
        models: The model repository.
        folder: Where state and results of this run are kept.
        resume: Go on where an interrupted run stopped.
        fresh: Start anew although an interrupted run lies there.
    """

    recipe: Recipe
    models: Path
    folder: RunFolder
    resume: bool = False
    fresh: bool = False


class Watcher(Protocol):
    """Whoever shows a person how it goes."""

    def prepared(self, dataset: Dataset) -> None:
        """The table is read."""

    def stepped(self, state: FitState) -> None:
        """The fit is one step on."""


def train(run: Run, watcher: Watcher) -> Published:
    """Train, export, verify and publish.

    Args:
        run: What and where.
        watcher: Is told of the progress.

    Raises:
        Interrupted: SIGINT came; the state is kept.
        TrainingError: anything else that the person at the keyboard can mend; nothing is published then.
    """
    with run.folder.lock():
        return _train(run, watcher) if run.recipe.model.continue_from is None else _train_on(run, watcher)


def _train(run: Run, watcher: Watcher) -> Published:
    recipe = run.recipe
    dataset = prepare(recipe)
    check_successor(run.models, outline(recipe, dataset))
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    with interruption() as stop:
        watcher.prepared(dataset)
        state = _fitted(run, dataset, inputs, outputs, stop, watcher)
        table = Table.of(dataset, inputs, outputs, state.best.dtype)
        with torch_threads(threads_for(state.best, recipe.fit.batch_rows or len(dataset.train))):
            finished = finish(state.best, recipe, table, lambda: _stop_if_asked(stop, run))
        trained = Trained(finished.kan, inputs, outputs)
        try:
            exported = export(
                trained,
                Plan(recipe.verify.tolerance, recipe.lowering.tune_for, recipe.lowering.precision),
                training_rows=dataset.x[dataset.train].astype(np.float32),
            )
        except VerificationFailed as error:
            hint = _HINT if recipe.symbolic is None else f"{_HINT}{_SYMBOLIC_HINT}"
            raise VerificationFailed(f"{error}; {hint}") from None
        _stop_if_asked(stop, run)
        manifest = build_manifest(recipe, dataset, exported, formula=finished.formula)
        history = [*state.history, *finished.history]
        page = {REPORT: report(dataset, trained, history, manifest, notes=finished.notes)}
        _stop_if_asked(stop, run)
        # From here on to the end at once: a version that is published belongs to a run that is finished.
        props = metadata(manifest.name, trained.kan, manifest.library_version)
        published = publish(run.models, manifest, files(exported, props, page))
        run.folder.drop_state()
        run.folder.save_result(trained.kan, held_out_table(dataset))
    return replace(published, notes=finished.notes)


def _train_on(run: Run, watcher: Watcher) -> Published:
    """Let a published version learn on, and publish it as the next one."""
    recipe = run.recipe
    _check_no_state(run)
    try:
        begin = start(recipe, run.models)
        dataset, version = begin.dataset, begin.version
        check_successor(run.models, outline(recipe, dataset))
        watcher.prepared(dataset)
        learned = learn_on(recipe, begin)
        try:
            exported = export(
                learned.trained,
                Plan(recipe.verify.tolerance, recipe.lowering.tune_for, recipe.lowering.precision),
                training_rows=dataset.x[dataset.train].astype(np.float32),
                scale=version.output_scale,
            )
        except VerificationFailed as error:
            raise VerificationFailed(f"{error}; change [verify] tolerance and run it again") from None
        manifest = continued_manifest(build_manifest(recipe, dataset, exported), begin, learned.continued)
        page = {REPORT: report(dataset, learned.trained, learned.history, manifest, notes=learned.notes)}
    except KeyboardInterrupt:
        # The fit of a continuation has no state that could be kept; it is short, and the same again from its start.
        raise Interrupted("stopped, and nothing was published: a continuation is run again from its start") from None
    with interruption():
        props = metadata(manifest.name, learned.trained.kan, manifest.library_version)
        page_and_graphs = files(exported, props, page)
        published = publish(run.models, manifest, page_and_graphs, after=version.manifest.version)
        run.folder.drop_state()
        run.folder.save_result(learned.trained.kan, held_out_table(dataset))
    return replace(published, notes=learned.notes)


def _check_no_state(run: Run) -> None:
    if run.resume:
        raise RunError("--resume: a continuation keeps no state; run it without")
    if run.folder.has_state() and not run.fresh:
        raise RunError(
            f"{run.folder.path} holds an unfinished run; finish it by its recipe and --resume, or drop it by --fresh"
        )


def _fitted(
    run: Run,
    dataset: Dataset,
    inputs: InputTransform,
    outputs: OutputTransform,
    stop: Interruption,
    watcher: Watcher,
) -> FitState:
    """Go through the fit; keep its state from time to time and when asked to stop."""
    plan = run.recipe.fit
    kan = new_network(dataset, run.recipe, inputs)
    learning, choosing = (
        samples(dataset, rows, inputs, outputs, kan.dtype) for rows in (dataset.train, dataset.validation)
    )
    identity = identity_of(run.recipe, dataset)
    state = _start(run, kan, identity)
    kept = time.monotonic()
    steps = fit_steps(state, learning, choosing, plan, dataset.task, run.recipe.sparsify)
    with torch_threads(threads_for(kan, plan.batch_rows or len(learning.x))):
        for state in steps:
            watcher.stepped(state)
            asked = stop.requested  # read once: it may turn true between two looks
            if asked or time.monotonic() - kept > _SECONDS_BETWEEN_CHECKPOINTS:
                run.folder.save_state(state, identity)
                kept = time.monotonic()
            if asked:
                _stop_if_asked(stop, run)
    run.folder.save_state(state, identity)
    _stop_if_asked(stop, run)
    return state


def _stop_if_asked(stop: Interruption, run: Run) -> None:
    """End the run where its state is kept."""
    if stop.requested:
        raise Interrupted(f"stopped; the run is kept in {run.folder.path}: the same command with --resume goes on")


def identity_of(recipe: Recipe, dataset: Dataset) -> str:
    """What a kept state belongs to: the data and what the fit follows. Comments and what comes after may change."""
    what = (
        recipe.model_dump_json(include={"split", "inputs", "network", "fit", "sparsify", "task"}) + dataset.fingerprint
    )
    return hashlib.sha256(what.encode()).hexdigest()


def _start(run: Run, kan: KAN, identity: str) -> FitState:
    if run.resume:
        return run.folder.load_state(identity)
    if run.folder.has_state() and not run.fresh:
        raise RunError(
            f"{run.folder.path} holds an unfinished run; go on with it by --resume, or start anew by --fresh"
        )
    return begin(kan, run.recipe.fit)

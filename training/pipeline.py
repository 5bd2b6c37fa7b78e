"""A recipe's way from a table to a published model version."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kan_model import KAN
from kan_model.transform import InputTransform, OutputTransform
from training.config import Recipe
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
from training.threads import threads_for, torch_threads
from training.verify import VerificationFailed

_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_HINT = "change [verify] tolerance and go on with --resume, or train with fewer intervals or scaled inputs"


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
        return _train(run, watcher)


def _train(run: Run, watcher: Watcher) -> Published:
    recipe = run.recipe
    dataset = prepare(recipe)
    check_successor(run.models, outline(recipe, dataset))
    inputs, outputs = input_transform(dataset, recipe.inputs.scaling), output_transform(dataset)
    with interruption() as stop:
        watcher.prepared(dataset)
        state = _fitted(run, dataset, inputs, outputs, stop, watcher)
        trained = Trained(state.best, inputs, outputs)
        try:
            exported = export(
                trained,
                Plan(recipe.verify.tolerance, recipe.lowering.tune_for, recipe.lowering.precision),
                training_rows=dataset.x[dataset.train].astype(np.float32),
            )
        except VerificationFailed as error:
            raise VerificationFailed(f"{error}; {_HINT}") from None
        _stop_if_asked(stop, run)
        manifest = build_manifest(recipe, dataset, exported)
        page = {REPORT: report(dataset, trained, state.history, manifest)}
        _stop_if_asked(stop, run)
        # From here on to the end at once: a version that is published belongs to a run that is finished.
        props = metadata(manifest.name, trained.kan, manifest.library_version)
        published = publish(run.models, manifest, files(exported, props, page))
        run.folder.drop_state()
        run.folder.save_result(trained.kan, held_out_table(dataset))
    return published


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
    steps = fit_steps(state, learning, choosing, plan, dataset.task)
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
    """What a kept state belongs to: the data and what the fit follows. Comments, [lowering] and [verify] may change."""
    what = recipe.model_dump_json(include={"split", "inputs", "network", "fit", "task"}) + dataset.fingerprint
    return hashlib.sha256(what.encode()).hexdigest()


def _start(run: Run, kan: KAN, identity: str) -> FitState:
    if run.resume:
        return run.folder.load_state(identity)
    if run.folder.has_state() and not run.fresh:
        raise RunError(
            f"{run.folder.path} holds an unfinished run; go on with it by --resume, or start anew by --fresh"
        )
    return begin(kan, run.recipe.fit)

"""A recipe's way from a table to a published model version."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model import KAN
from kan_model.network.transform import InputTransform, OutputTransform
from training.data.dataset import Dataset, held_out_table, prepare
from training.data.encoding import Numbers
from training.data.preparation import input_transform, new_network, output_transform, samples
from training.data.samples import Samples
from training.errors import Interrupted
from training.fitting.fit import FitState, begin, fit_steps
from training.fitting.record import Record
from training.pipelines.continuation import continued_manifest, learn_on
from training.pipelines.continuation_start import start
from training.pipelines.interruption import Interruption, interruption
from training.pipelines.older_run import check_older_split
from training.pipelines.run_folder import RunError, RunFolder
from training.pipelines.run_identity import RunIdentity, identity_of
from training.publishing.export import Exported, Plan, Trained, export, files, network_bytes
from training.publishing.manifest import build_manifest, outline, predict
from training.publishing.publication import forget, publish_once
from training.publishing.publish import Published, check_successor
from training.publishing.verify import VerificationFailed
from training.recipe.config import Recipe
from training.report.report import NAME as REPORT
from training.report.report import Judged, report
from training.steps import StepData, finish
from training.steps.fit_diagnostics import of_fit, refusal_hint
from training.threads import threads_for, torch_threads

_SECONDS_BETWEEN_CHECKPOINTS = 5.0
_HINT_AGAIN = "change [verify] tolerance and run it again"


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


class Watcher:
    """Hears how a run goes. This one is silent; a subclass overrides what it wants to show."""

    def on_prepared(self, dataset: Dataset) -> None:
        """The table has been read."""

    def on_step(self, state: FitState) -> None:
        """The fit has done one more step."""

    def on_message(self, text: str) -> None:
        """A step after the fit begins that takes its time."""

    def on_evaluation(self, record: Record, *, ended: bool) -> None:
        """Called after each evaluation on the validation rows, and at the end, while a published version learns on."""


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
        watcher.on_prepared(dataset)
        state = _fitted(run, dataset, inputs, outputs, stop, watcher)
        table = StepData.of(dataset, inputs, outputs, state.best.dtype)
        remarks = of_fit(state, new_network(dataset, recipe, inputs), recipe.fit, table)
        with torch_threads(threads_for(state.best, recipe.fit.batch_rows or len(dataset.train))):
            finished = finish(state.best, recipe, table, lambda: _stop_if_asked(stop, run), watcher.on_message)
        finished = replace(finished, notes=(*remarks, *finished.notes))
        trained = Trained(finished.kan, inputs, outputs)
        exported = _exported(recipe, dataset, trained, refusal_hint(finished.kan), notes=finished.notes)
        _stop_if_asked(stop, run)
        manifest = build_manifest(
            recipe,
            dataset,
            exported,
            formula=finished.formula,
            beside=finished.metrics,
            attribution=finished.attribution,
        )
        page = _report(dataset, trained, manifest, [*state.history, *finished.history], finished.notes, finished.latex)
        _stop_if_asked(stop, run)
        return _published(run, dataset, manifest, exported, page, finished.notes)


def _train_on(run: Run, watcher: Watcher) -> Published:
    """Let a published version learn on, and publish it as the next one."""
    recipe = run.recipe
    _check_no_state(run)
    try:
        begin = start(recipe, run.models)
        dataset, version = begin.dataset, begin.version
        check_successor(run.models, outline(recipe, dataset))
        watcher.on_prepared(dataset)
        learned = learn_on(recipe, begin, lambda record: watcher.on_evaluation(record, ended=False))
        watcher.on_evaluation(learned.history[-1], ended=True)
        exported = _exported(recipe, dataset, learned.trained, _HINT_AGAIN, version.output_scale)
        manifest = continued_manifest(build_manifest(recipe, dataset, exported), begin, learned)
        page = _report(dataset, learned.trained, manifest, learned.history, learned.notes)
    except KeyboardInterrupt:
        # The fit of a continuation has no state that could be kept; it is short, and the same again from its start.
        raise Interrupted("stopped, and nothing was published: a continuation is run again from its start") from None
    with interruption():
        return _published(run, dataset, manifest, exported, page, learned.notes, after=version.manifest.version)


def _exported(
    recipe: Recipe,
    dataset: Dataset,
    trained: Trained,
    hint: str,
    scale: Numbers | None = None,
    notes: Sequence[str] = (),
) -> Exported:
    """Graphs that passed; a refusal tells what was done to the network, since that may be mended."""
    plan = Plan(recipe.verify.tolerance, recipe.lowering.tune_for, recipe.lowering.precision)
    rows = dataset.x[dataset.train].astype(np.float32)
    try:
        return export(trained, plan, training_rows=rows, scale=scale)
    except VerificationFailed as error:
        raise VerificationFailed("\n  ".join([f"{error}; {hint}", *notes])) from None


def _report(
    dataset: Dataset,
    trained: Trained,
    manifest: ModelManifest,
    history: Sequence[Record],
    notes: Sequence[str],
    latex: str = "",
) -> bytes:
    """Pictures of answers are made of the rows that neither trained nor chose."""
    truth, answers = dataset.y[dataset.test], predict(trained, dataset.x[dataset.test])
    answered = np.isfinite(answers).all(axis=1)
    judged = Judged("held-out rows", truth[answered], answers[answered]) if answered.any() else None
    return report(manifest, trained, dataset.x[dataset.train], judged=judged, history=history, notes=notes, latex=latex)


def _published(
    run: Run,
    dataset: Dataset,
    manifest: ModelManifest,
    exported: Exported,
    page: bytes,
    notes: tuple[str, ...],
    after: int | None = None,
) -> Published:
    """Publish and end the run. One that is stopped in between keeps its state, and gone on with publishes no more."""
    published = publish_once(
        run.folder.path,
        run.models,
        manifest,
        files(exported, manifest, {REPORT: page}),
        network_bytes(exported.trained),
        resumed=run.resume,
        after=after,
    )
    run.folder.save_result(exported.trained.kan, held_out_table(dataset))
    run.folder.drop_state()
    forget(run.folder.path)
    return replace(published, notes=(*notes, *published.notes))


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
    train_rows, validation = (
        samples(dataset, rows, inputs, outputs, kan.dtype) for rows in (dataset.train, dataset.validation)
    )
    identity = identity_of(run.recipe, dataset)
    state = _start(run, dataset, kan, train_rows, validation, identity)
    kept = time.monotonic()
    steps = fit_steps(state, train_rows, validation, plan, dataset.task, run.recipe.sparsify, run.recipe.adapt)
    with torch_threads(threads_for(kan, plan.batch_rows or len(train_rows.x))):
        for state in steps:
            watcher.on_step(state)
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


def _start(
    run: Run, dataset: Dataset, kan: KAN, train_rows: Samples, validation: Samples, identity: RunIdentity
) -> FitState:
    if run.resume:
        kept = run.folder.load_state(identity)
        if not kept.names_split:
            check_older_split(kept.state, run.recipe, dataset, kan, train_rows, validation)
        return kept.state
    if run.folder.has_state() and not run.fresh:
        raise RunError(
            f"{run.folder.path} holds an unfinished run; go on with it by --resume, or start anew by --fresh"
        )
    return begin(kan, run.recipe.fit, train_rows, run.recipe.adapt)

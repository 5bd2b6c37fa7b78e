"""A recipe's way from a table to a published model version."""

from training.data.dataset import Dataset, prepare_table
from training.data.source import load_source
from training.fitting.fit import FitState
from training.pipelines.continuation import continue_version
from training.pipelines.fresh.fit import SingleFit, new_fit
from training.pipelines.fresh.judged_fit import JudgedFit, judge_fit
from training.pipelines.fresh.kept_fit import KeptFit, stop_if_asked
from training.pipelines.fresh.kept_run import keep_run
from training.pipelines.fresh.older_run import check_older_split
from training.pipelines.fresh.publication import write_publication
from training.pipelines.fresh.refit import fit_again
from training.pipelines.images import train_images
from training.pipelines.interruption import Interruption, catch_interruption
from training.pipelines.release import publish_version
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError
from training.pipelines.watcher import Watcher
from training.publishing.manifest import outline
from training.publishing.publish import Published, check_successor
from training.publishing.succession.promises import find_broken, foretell
from training.steps import StepData
from training.threads import torch_threads

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
    expected = outline(recipe, dataset)
    check_successor(run.models, expected)
    is_refit = recipe.ensemble is not None and recipe.ensemble.refit
    if not is_refit:
        del source
    with catch_interruption() as stop:
        watcher.on_prepared(dataset)
        if broken := find_broken(run.models / expected.name, foretell(expected, recipe)):
            watcher.on_warning(f"{broken}; if that is not meant, stop the run and set {broken.keys()}")
        fit = _fit_and_judge(run, dataset, stop, watcher)
        if is_refit:
            fit = fit_again(run, fit, source, stop, watcher)
        made = write_publication(recipe, fit, lambda: stop_if_asked(stop, run.folder))
        return publish_version(run, dataset, made.manifest, made.exported, made.page, made.fit.all_notes)


def _fit_and_judge(run: Run, dataset: Dataset, stop: Interruption, watcher: Watcher) -> JudgedFit:
    """Fit the rows that train, take the steps after the fit, and answer the test rows."""
    way, table = new_fit(run.recipe, dataset)
    fit = KeptFit(way, run.recipe, dataset, run.folder)
    state = fit.go_on(_start_or_resume(run, fit, table), stop, watcher)
    keep_run(run.folder.path, way.network(state), run.recipe, way.chosen(state).fit, dataset.fingerprint)
    return judge_fit(way, state, table, lambda: stop_if_asked(stop, run.folder), watcher.on_message)


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

"""The fit of an estimator: the steps of `kan-train run`, without a folder, a signal handler and test rows."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from training.data.dataset import Dataset, prepare_table
from training.data.split import Split
from training.data.table import Table
from training.errors import DataError
from training.estimators.chosen_recipe import Roles
from training.estimators.notes import notes_of
from training.pipelines.continuation_fit import fit_further
from training.pipelines.fresh.fit import follow, new_fit
from training.pipelines.fresh.judged_fit import JudgedFit, judge_fit
from training.pipelines.fresh.publication import with_servable_network
from training.pipelines.release import judge
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe
from training.steps.advice import FOR_ESTIMATORS
from training.threads import threads_for, torch_threads


def prepare_rows(
    recipes: Sequence[Recipe], table: Table, roles: Roles, validation_rows: int = 0
) -> tuple[Recipe, Dataset]:
    """The rows ready for training, by the first recipe whose split they allow; no row is a test row.

    Args:
        recipes: They differ in [split].
        table: The rows.
        roles: Which columns are what.
        validation_rows: So many rows at the end are the validation part. 0: the recipe decides; of an ensemble all rows
            train.

    Raises:
        DataError: the rows do not allow any of them.
    """
    for recipe in recipes:
        arrange = _arrange(table, validation_rows, Split.joined if recipe.validation_only_trains else Split.with_test)
        try:
            dataset = prepare_table(recipe, table, roles.inputs, roles.targets, arrange=arrange)
        except DataError:
            if recipe is recipes[-1]:
                raise
        else:
            return recipe, dataset
    raise AssertionError("there is one recipe at least")


@torch_threads(1)
def fit_rows(recipe: Recipe, dataset: Dataset, watcher: Watcher) -> JudgedFit:
    """Fit the rows, and take the steps after the fit.

    Raises:
        TrainingError: the fit diverged, or a step cannot be done as asked.
    """
    watcher.on_prepared(dataset)
    way, table = new_fit(recipe, dataset, FOR_ESTIMATORS)
    state = way.begin()
    with torch_threads(threads_for(state.kan, recipe.fit.batch_rows or len(dataset.train))):
        for each in follow(way, state, watcher):
            state = each
    judged = judge_fit(way, state, table, lambda: None, watcher.on_message)
    # The published version shall answer as the estimator does, so what can be served is decided here.
    served = with_servable_network(recipe, judged)
    return replace(served, keep_splines=None, notes=notes_of(served))


def prepare_more_rows(recipe: Recipe, table: Table, roles: Roles, known: Dataset, validation_rows: int = 0) -> Dataset:
    """As :func:`prepare_rows`, for rows that a fitted network learns on from: what the first fit learned of rows stays.

    Args:
        recipe: By which it learns on.
        table: The new rows.
        roles: Which columns are what.
        known: The rows of the first fit.
        validation_rows: So many rows at the end are the validation part. 0: 15 % of the rows are.

    Raises:
        DataError: the rows do not fit the first ones.
    """
    dataset = prepare_table(
        recipe,
        table,
        roles.inputs,
        roles.targets,
        known_classes=known.classes,
        known_columns=known.columns,
        arrange=_arrange(table, validation_rows, Split.with_test),
    )
    return replace(dataset, imputed=known.imputed, gaps=known.gaps, constant=known.constant)


@torch_threads(1)
def learn_on(fit: JudgedFit, recipe: Recipe, dataset: Dataset, watcher: Watcher) -> JudgedFit:
    """Go on with a fitted network; the validation rows choose the best step, the one before the first included.

    Raises:
        TrainingError: nothing of the network can move, or it has no finite answers.
    """
    watcher.on_prepared(dataset)
    continued = fit_further(fit.trained, dataset, recipe.fit, lambda record: watcher.on_evaluation(record, ended=False))
    watcher.on_evaluation(continued.history[-1], ended=True)
    trained = replace(fit.trained, kan=continued.kan, intervals=None)
    return JudgedFit(
        dataset=dataset,
        trained=trained,
        recipe=fit.recipe,
        history=continued.history,
        notes=("learned on from a fit before; scores and pictures are of the rows of the last fit",),
        metrics={},
        judged=judge(dataset, trained),
    )


def _arrange(
    table: Table, validation_rows: int, without_eval_set: Callable[[Split], Split]
) -> Callable[[Split], Split]:
    """How the parts of the recipe's split are used: not at all where an eval_set lies at the end of the table."""
    if validation_rows == 0:
        return without_eval_set
    train = table.rows - validation_rows
    given = Split(np.arange(train), np.arange(train, table.rows), np.empty(0, np.int64))
    return lambda _: given

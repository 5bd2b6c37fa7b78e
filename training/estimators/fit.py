"""The fit of an estimator: the steps of `kan-train run`, without a folder, a signal handler and test rows."""

from collections.abc import Sequence

import numpy as np

from training.data.dataset import Dataset, prepare_table
from training.data.split import Split
from training.data.table import Table
from training.errors import DataError
from training.estimators.chosen_recipe import Roles
from training.pipelines.fresh.fit import follow, new_fit
from training.pipelines.fresh.judged_fit import JudgedFit, judge_fit
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe
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
    train = table.rows - validation_rows
    given = Split(np.arange(train), np.arange(train, table.rows), np.empty(0, np.int64))
    for recipe in recipes:
        # The steps after the fit choose by the validation rows, and so does the fit of a single network.
        chooses = recipe.ensemble is None or recipe.prune is not None or recipe.symbolic is not None
        arrange = Split.with_test if chooses else Split.joined
        try:
            dataset = prepare_table(
                recipe,
                table,
                roles.inputs,
                roles.targets,
                arrange=(lambda _: given) if validation_rows else arrange,
            )
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
    way, table = new_fit(recipe, dataset)
    state = way.begin()
    with torch_threads(threads_for(state.kan, recipe.fit.batch_rows or len(dataset.train))):
        for each in follow(way, state, watcher):
            state = each
    return judge_fit(way, state, table, lambda: None, watcher.on_message)

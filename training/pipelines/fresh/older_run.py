"""A run that an older kan-train began, which did not keep which rows train, choose and judge.

Its time split cut the sorted rows at a row count. Where the time changes at both cuts, today's split is the same one.
Where it does not, rows of one time both train and judge, and the run cannot be gone on with.

The column of a time or group split may also have been edited since. The first step of the fit shows it: the losses
after that step depend on every training row and its place, and the kept state holds them.
"""

import math
from contextlib import suppress

from kan_model import KAN
from kan_model.splines.edge_sums import plain_arithmetic
from training.data.dataset import Dataset
from training.data.split import wanted_rows
from training.errors import quoted
from training.fitting.fit import FitState, TrainingDiverged, begin, fit_steps
from training.fitting.record import Record
from training.pipelines.run_folder import RunError
from training.recipe.config import Recipe
from training.steps import StepData
from training.threads import threads_for, torch_threads

# Adam's first losses on other processors differ by up to 2e-7; another row in a part moves them by about 1 / rows.
_LAST_DIGITS = 1e-6


def check_older_split(state: FitState, recipe: Recipe, kan: KAN, table: StepData) -> None:
    """Refuse to go on where today's split is not, or may not be, the one that the run began with.

    Args:
        state: As the older kan-train kept it; recipe, features and target are those of today.
        recipe: Of today.
        kan: The network before the fit.
        table: The rows of today.

    Raises:
        RunError: the older time split had rows of one time in two parts, or the first step of the fit ends elsewhere
            on today's rows.
    """
    section = recipe.split
    if section.column is None:
        return  # Chance and classes alone decide, and both are in what was compared.
    column = quoted(section.column)
    if section.kind == "time" and _cuts_through_a_time(recipe, table.dataset):
        raise RunError(
            f"an older kan-train began this run, and its time split had rows of one time of column {column} in two "
            "parts; run with --fresh, which cuts where the time changes"
        )
    first = _repeat_first_step(recipe, kan, table)
    if first is None or not state.history or not _is_same(first, state.history[0]):
        raise RunError(
            f"an older kan-train began this run, and its first step does not come out the same on today's rows: column "
            f"{column} of [split] was edited since, or the run was begun on another machine; undo the edit, resume "
            "where it was begun, or run with --fresh"
        )


def _cuts_through_a_time(recipe: Recipe, dataset: Dataset) -> bool:
    """Whether the time does not change where the older kan-train cut: after so many rows, whatever their times."""
    cuts = wanted_rows(recipe.split, len(dataset.x))
    return cuts != (len(dataset.test), len(dataset.validation))


def _repeat_first_step(recipe: Recipe, kan: KAN, table: StepData) -> Record | None:
    """The first line of the loss curve on today's rows; None where a number in it is not finite."""
    plan, train, task = recipe.fit, table.train, table.loss
    start = begin(kan, plan, train, recipe.adapt)
    threads = torch_threads(threads_for(kan, plan.batch_rows or len(train.x)))
    with plain_arithmetic(), threads, suppress(TrainingDiverged):
        return next(fit_steps(start, train, table.validation, plan, task, recipe.sparsify, recipe.adapt)).history[0]
    return None


def _is_same(now: Record, kept: Record) -> bool:
    pairs = ((now.train_loss, kept.train_loss), (now.validation_loss, kept.validation_loss))
    return all(math.isclose(a, b, rel_tol=_LAST_DIGITS) for a, b in pairs)

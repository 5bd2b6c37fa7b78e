"""The calibration of a fit of classes, as [calibration] asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import softmax

from kan_api.v1.manifest_pb2 import Calibration
from kan_model import members_of
from training.calibration import (
    LeftOutRows,
    Temperature,
    calibrate_network,
    compare_scores,
    divide_scores,
    estimate_mean_scores,
    fewest_scores,
    find_sets,
    judge_sets,
)
from training.calibration.temperature import FEWEST_GROUPS, FEWEST_ROWS
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.preparation import row_weights
from training.data.split import RowNumbers
from training.fitting.fit import FitState
from training.pipelines.fresh.fit import FreshFit
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.recipe.config import Recipe
from training.report.judged import Judged

# More would move the temperature by less than 1 %.
_MOST_ROWS = 50_000


@dataclass(frozen=True)
class CalibratedFit:
    """A network whose scores may be divided by a temperature.

    Attributes:
        trained: The network.
        message: For the manifest; None: the recipe does not ask for a calibration.
        temperature: How it was chosen; None likewise.
        chose: Numbers of the rows that chose the plan of the fit; None likewise.
    """

    trained: Trained
    message: Calibration | None = None
    temperature: Temperature | None = None
    chose: RowNumbers | None = None

    def notes(self) -> Iterator[str]:
        """What was done, for people."""
        if self.message is None or self.temperature is None:
            return
        yield from self._temperature_notes()
        sets = self.message.sets
        if not sets.coverage or sets.threshold:
            return
        if sets.calibration_rows >= fewest_scores(sets.coverage):
            yield (
                f"warning   [calibration] coverage = {sets.coverage:g}: too many rows are of a class that got a"
                " probability of 0 in float32: each set has all classes"
            )
        else:
            yield (
                f"warning   [calibration] coverage = {sets.coverage:g} needs more than the {sets.calibration_rows} rows"
                " that members left out: each set has all classes"
            )

    def _temperature_notes(self) -> Iterator[str]:
        assert self.message is not None
        assert self.temperature is not None
        found, chosen = self.message.out_of_fold, self.temperature
        if chosen.has_few_rows:
            yield f"scores    not divided by a temperature: it needs {FEWEST_ROWS} rows, {_as_many(chosen.rows)}"
            return
        if chosen.groups is not None and chosen.has_few_groups:
            yield f"scores    not divided by a temperature: it needs {FEWEST_GROUPS} groups, {_as_many(chosen.groups)}"
            return
        gain = f"it lowers the log loss of {found.rows:,} rows by {chosen.gain:.2g} ± {chosen.error:.2g}"
        if chosen.value == 1:
            yield f"scores    not divided by a temperature: the best one is {chosen.best:.4g}, but {gain}"
            return
        yield f"scores    divided by a temperature of {chosen.value:.4g}; the best one is {chosen.best:.4g}, and {gain}"
        if chosen.is_at_bound:
            yield (
                f"warning   [calibration]: no temperature beyond {chosen.best:g} is tried, and the log loss still falls"
                " there: the scores are of another size than probabilities, or say nothing of the classes"
            )

    def judged_as(self, before: "CalibratedFit | None") -> "CalibratedFit":
        """The calibration, judged as that of the fit before was, on test rows that had no part in it."""
        if self.message is None or before is None or before.message is None:
            return self
        message = Calibration()
        message.CopyFrom(self.message)
        message.test.CopyFrom(before.message.test)
        if (judged := before.message.sets).judged_by == "test":
            message.sets.judged_by, message.sets.judged_rows = judged.judged_by, judged.judged_rows
            message.sets.judged_coverage, message.sets.judged_size = judged.judged_coverage, judged.judged_size
        return replace(self, message=message)

    def judged(self, answers: Judged | None) -> Judged | None:
        """The network's answers to the test rows, with those of the undivided scores beside them."""
        if answers is None or self.message is None or not self.message.test.rows or self.message.temperature == 1:
            return answers
        return replace(answers, uncalibrated=divide_scores(answers.answers, 1 / self.message.temperature))


def calibrate_fit(
    way: FreshFit, state: FitState, dataset: Dataset, trained: Trained, recipe: Recipe, before: RowNumbers | None = None
) -> CalibratedFit:
    """Divide the scores by a temperature; the test rows judge it.

    Args:
        way: The fit.
        state: At its end.
        dataset: Its rows.
        trained: The network to publish, the mean of the members; it is not changed.
        recipe: With or without [calibration].
        before: Numbers of the rows that chose the plan of this fit before it began; None: there are none.
    """
    if recipe.calibration is None or (rows := way.left_out(state)) is None:
        return CalibratedFit(trained)
    if before is not None:
        rows = rows.without(before)
    # Thinned where they are very many.
    rows = rows.only(np.isin(rows.numbers, _counting(dataset, rows.numbers))).thinned(_MOST_ROWS)
    members, truth = _scores(dataset, trained, rows), _truth(dataset, rows.numbers)
    weights = _weights(dataset, rows.numbers)
    mean = estimate_mean_scores(members, rows.members, truth, weights)
    groups = None if dataset.groups is None else dataset.groups[rows.numbers]
    calibrated = calibrate_network(trained.kan, mean.scores, truth, weights, groups, mean.length)
    message, temperature, coverage = calibrated.message, calibrated.temperature.value, recipe.calibration.coverage
    if coverage is not None:
        own = softmax(members[np.arange(len(members)), rows.members] / temperature, axis=1)
        message.sets.CopyFrom(find_sets(own, truth, rows.members, coverage))
    test = _counting(dataset, dataset.test)
    if len(test):
        scores = predict(replace(trained, outputs=None), dataset.x[test])
        message.test.CopyFrom(compare_scores(scores, temperature, _truth(dataset, test), _weights(dataset, test)))
        if coverage is not None:
            judge_sets(message.sets, softmax(scores / temperature, axis=1), _truth(dataset, test))
    return CalibratedFit(replace(trained, kan=calibrated.kan), message, calibrated.temperature, rows.chose)


def _as_many(effective: float) -> str:
    return f"and these count as {int(effective)} of equal weight"


def _counting(dataset: Dataset, rows: RowNumbers) -> RowNumbers:
    """Without those of weight 0."""
    weights = _weights(dataset, rows)
    return rows if weights is None else rows[weights > 0]


def _scores(dataset: Dataset, trained: Trained, rows: LeftOutRows) -> Numbers:
    """``[rows, members, classes]``, of each member."""
    members, x = members_of(trained.kan), dataset.x[rows.numbers]
    if not len(x):
        return np.empty((0, len(members), len(dataset.classes)))
    return np.stack([predict(replace(trained, kan=member, outputs=None), x) for member in members], axis=1)


def _truth(dataset: Dataset, rows: RowNumbers) -> RowNumbers:
    return dataset.y[rows].astype(np.int64)


def _weights(dataset: Dataset, rows: RowNumbers) -> Numbers | None:
    """As in the loss: those of the rows times those of their classes."""
    weights = row_weights(dataset, rows, torch.float64)
    return None if weights is None else weights.numpy()

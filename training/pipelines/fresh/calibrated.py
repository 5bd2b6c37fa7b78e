"""The calibration of a fit of classes, as [calibration] asks for it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from kan_api.v1.manifest_pb2 import Calibration
from kan_model import members_of, scaled_network
from training.calibration import (
    LeftOutRows,
    Temperature,
    choose_mean_temperature,
    compare_scores,
    divide_scores,
    find_sets,
    judge_sets,
)
from training.calibration.ranks import fewest_rows
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
    """A network whose scores are divided by a temperature.

    Attributes:
        trained: The network.
        message: For the manifest.
        temperature: How it was chosen.
        chose: Numbers of the rows that chose the plan of the fit.
    """

    trained: Trained
    message: Calibration
    temperature: Temperature
    chose: RowNumbers

    def notes(self) -> Iterator[str]:
        """What was done, for people."""
        yield from self._temperature_notes()
        sets = self.message.sets
        if not sets.coverage or sets.threshold:
            return
        which = f"warning   [calibration] coverage = {sets.coverage:g}"
        if sets.calibration_rows < fewest_rows(sets.coverage):
            reason = f" needs more than the {sets.calibration_rows} rows that members left out"
        else:
            reason = ": too many rows are of a class that got a probability of 0 in float32"
        yield f"{which}{reason}: each set has all classes"

    def _temperature_notes(self) -> Iterator[str]:
        found, chosen = self.message.estimated, self.temperature
        if chosen.has_few_rows:
            yield f"scores    not divided by a temperature: it needs {FEWEST_ROWS} rows, {_as_many(chosen.rows)}"
            return
        if chosen.groups is not None and chosen.has_few_groups:
            needed = f"{FEWEST_GROUPS} groups or stretches of time"
            yield f"scores    not divided by a temperature: it needs {needed}, {_as_many(chosen.groups)}"
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
        if before is None:
            return self
        message = Calibration()
        message.CopyFrom(self.message)
        message.test.CopyFrom(before.message.test)
        if (judged := before.message.sets).judged_by == "test":
            message.sets.judged_by, message.sets.judged_rows = judged.judged_by, judged.judged_rows
            message.sets.judged_coverage, message.sets.judged_size = judged.judged_coverage, judged.judged_size
        return replace(self, message=message)

    def judged(self, found: Judged | None, *, are_divided: bool) -> Judged | None:
        """Answers of divided scores, with those of the undivided ones beside them.

        Args:
            found: The answers; None: there are none.
            are_divided: True for answers of the network, False for those of members out of fold.
        """
        temperature = self.message.temperature
        if found is None or temperature == 1:
            return found
        other = divide_scores(found.answers, 1 / temperature if are_divided else temperature)
        divided, undivided = (found.answers, other) if are_divided else (other, found.answers)
        return replace(found, answers=divided, uncalibrated=undivided)


def calibrate_fit(
    way: FreshFit, state: FitState, dataset: Dataset, trained: Trained, recipe: Recipe, before: RowNumbers | None = None
) -> CalibratedFit | None:
    """Divide the scores by a temperature; the test rows judge it. None: the recipe has no [calibration].

    Args:
        way: The fit.
        state: At its end.
        dataset: Its rows.
        trained: The network to publish, the mean of the members; it is not changed.
        recipe: With or without [calibration].
        before: Numbers of the rows that chose the plan of this fit before it began; None: there are none.
    """
    if recipe.calibration is None or (rows := way.left_out(state)) is None:
        return None
    if before is not None:
        rows = rows.without(before)
    rows = rows.only(_count(dataset, rows.numbers)).thinned(_MOST_ROWS)
    members, truth = _scores(dataset, trained, rows), _truth(dataset, rows.numbers)
    weights = _weights(dataset, rows.numbers)
    groups = _groups(recipe, dataset, rows.numbers)
    found = choose_mean_temperature(members, rows.members, truth, weights, groups)
    chosen = found.chosen
    estimated = compare_scores(found.scores, chosen.value, truth, weights)
    message = Calibration(temperature=chosen.value, estimated=estimated)
    if (coverage := recipe.calibration.coverage) is not None:
        own = softmax(members[np.arange(len(members)), rows.members] / chosen.value, axis=1)
        message.sets.CopyFrom(find_sets(own, truth, rows.members, coverage))
    _judge(message, dataset, trained)
    calibrated = replace(trained, kan=scaled_network(trained.kan, 1 / chosen.value))
    return CalibratedFit(calibrated, message, chosen, rows.chose)


def _judge(message: Calibration, dataset: Dataset, trained: Trained) -> None:
    """Tell how good temperature and sets are on the test rows that count and have an answer, if there are any."""
    test = dataset.test[_count(dataset, dataset.test)]
    if not len(test):
        return
    scores = predict(replace(trained, outputs=None), dataset.x[test])
    # A cell may be empty in a column that has no empty cells in the training rows: there is no answer then.
    answered = np.isfinite(scores).all(axis=1)
    test, scores = test[answered], scores[answered]
    truth, temperature = _truth(dataset, test), message.temperature
    message.test.CopyFrom(compare_scores(scores, temperature, truth, _weights(dataset, test)))
    if message.HasField("sets"):
        judge_sets(message.sets, softmax(scores / temperature, axis=1), truth)


def _as_many(effective: float) -> str:
    return f"and these count as {int(effective)} of equal weight"


def _count(dataset: Dataset, rows: RowNumbers) -> NDArray[np.bool_]:
    """Which of the rows have a weight above 0; the weights of classes always are."""
    return np.ones(len(rows), np.bool_) if dataset.weights is None else dataset.weights[rows] > 0


def _scores(dataset: Dataset, trained: Trained, rows: LeftOutRows) -> Numbers:
    """``[rows, members, classes]``, of each member."""
    members, x = members_of(trained.kan), dataset.x[rows.numbers]
    if not len(x):
        return np.empty((0, len(members), len(dataset.classes)))
    return np.stack([predict(replace(trained, kan=member, outputs=None), x) for member in members], axis=1)


def _groups(recipe: Recipe, dataset: Dataset, rows: RowNumbers) -> RowNumbers | None:
    """Rows that are not independent: those of a group; of a time split √rows stretches, since neighbours are alike."""
    if recipe.split.kind == "time":
        return np.arange(len(rows)) * math.isqrt(len(rows)) // max(1, len(rows))
    return None if dataset.groups is None else dataset.groups[rows]


def _truth(dataset: Dataset, rows: RowNumbers) -> RowNumbers:
    return dataset.y[rows].astype(np.int64)


def _weights(dataset: Dataset, rows: RowNumbers) -> Numbers | None:
    """As in the loss: those of the rows times those of their classes."""
    weights = row_weights(dataset, rows, torch.float64)
    return None if weights is None else weights.numpy()

"""The calibration of a fit of classes, as [calibration] asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from kan_api.v1.manifest_pb2 import Calibration
from kan_model import members_of
from training.calibration import (
    LeftOutRows,
    Temperature,
    calibrate_network,
    compare_scores,
    divide_scores,
    estimate_mean_scores,
)
from training.calibration.temperature import FEWEST_ROWS
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
        found, chosen = self.message.out_of_fold, self.temperature
        if found.rows < FEWEST_ROWS:
            yield f"scores    not divided by a temperature: it needs {FEWEST_ROWS} rows that count, not {found.rows}"
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
    chose, rows = rows.chose, _some(dataset, rows)
    calibrated = calibrate_network(
        trained.kan,
        _mean_scores(dataset, trained, rows),
        dataset.y[rows.numbers],
        _weights(dataset, rows.numbers),
        None if dataset.groups is None else dataset.groups[rows.numbers],
    )
    message = calibrated.message
    if len(dataset.test):
        scores = predict(replace(trained, outputs=None), dataset.x[dataset.test])
        weights = _weights(dataset, dataset.test)
        message.test.CopyFrom(compare_scores(scores, message.temperature, dataset.y[dataset.test], weights))
    return CalibratedFit(replace(trained, kan=calibrated.kan), message, calibrated.temperature, chose)


def _some(dataset: Dataset, rows: LeftOutRows) -> LeftOutRows:
    """The rows that count, thinned where they are very many."""
    weights = _weights(dataset, rows.numbers)
    return (rows if weights is None else rows.only(weights > 0)).thinned(_MOST_ROWS)


def _mean_scores(dataset: Dataset, trained: Trained, rows: LeftOutRows) -> Numbers:
    if not len(rows.numbers):
        return np.empty((0, len(dataset.classes)))
    x, weights = dataset.x[rows.numbers], _weights(dataset, rows.numbers)
    each = [predict(replace(trained, kan=member, outputs=None), x) for member in members_of(trained.kan)]
    return estimate_mean_scores(np.stack(each, axis=1), rows.members, dataset.y[rows.numbers], weights)


def _weights(dataset: Dataset, rows: RowNumbers) -> Numbers | None:
    """As in the loss: those of the rows times those of their classes."""
    weights = row_weights(dataset, rows, torch.float64)
    return None if weights is None else weights.numpy()

"""The calibration of a fit of classes, as [calibration] asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from kan_api.v1.manifest_pb2 import Calibration
from training.calibration import FEWEST_ROWS, calibrate_network, compare_scores
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.preparation import row_weights
from training.data.split import RowNumbers
from training.fitting.fit import FitState
from training.pipelines.fresh.fit import FreshFit
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.recipe.config import Recipe


@dataclass(frozen=True)
class CalibratedFit:
    """A network whose scores may be divided by a temperature.

    Attributes:
        trained: The network.
        calibration: What was found; None: the recipe does not ask for it.
        chose: Numbers of the rows that chose the plan of the fit; known where there is a calibration.
    """

    trained: Trained
    calibration: Calibration | None = None
    chose: RowNumbers | None = None

    def notes(self) -> Iterator[str]:
        """What was done, for people."""
        if self.calibration is None:
            return
        temperature, found = self.calibration.temperature, self.calibration.out_of_fold
        if found.rows < FEWEST_ROWS:
            yield f"scores    not divided by a temperature: only {found.rows} rows had no part in fit and choice"
            return
        yield (
            f"scores    divided by a temperature of {temperature:.4g}: the calibration error of {found.rows:,} "
            f"out-of-fold answers was {found.error_before:.4f} and is {found.error_after:.4f}"
        )


def calibrate_fit(
    way: FreshFit, state: FitState, recipe: Recipe, dataset: Dataset, trained: Trained, before: RowNumbers | None = None
) -> CalibratedFit:
    """Divide the scores by the temperature that suits the out-of-fold answers; the test rows judge it.

    Args:
        way: The fit.
        state: At its end.
        recipe: With or without [calibration].
        dataset: Its rows.
        trained: The network that came of it; it is not changed.
        before: Numbers of the rows that chose the plan of this fit before it began; None: there are none.
    """
    if recipe.calibration is None or (rows := way.apart(state)) is None:
        return CalibratedFit(trained)
    if before is not None:
        rows = rows.without(before)
    # The logarithms of probabilities are the scores but for a number that all classes share.
    scores = np.log(np.maximum(rows.answers, np.finfo(np.float64).tiny))
    truth, weights = dataset.y[rows.numbers].astype(np.int64), _weights(dataset, rows.numbers)
    calibrated = calibrate_network(trained.kan, scores, truth, weights)
    message = calibrated.message
    if len(dataset.test):
        scores = predict(replace(trained, outputs=None), dataset.x[dataset.test])
        truth, weights = dataset.y[dataset.test].astype(np.int64), _weights(dataset, dataset.test)
        message.test.CopyFrom(compare_scores(scores, message.temperature, truth, weights))
    return CalibratedFit(replace(trained, kan=calibrated.kan), message, rows.chose)


def _weights(dataset: Dataset, rows: RowNumbers) -> Numbers | None:
    """As in the loss: those of the rows times those of their classes."""
    weights = row_weights(dataset, rows, torch.float64)
    return None if weights is None else weights.numpy()

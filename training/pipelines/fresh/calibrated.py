"""The calibration of a fit of classes, as [calibration] asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from kan_api.v1.manifest_pb2 import Calibration
from training.calibration import calibrate_network, compare_scores
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
    """

    trained: Trained
    calibration: Calibration | None = None

    def notes(self) -> Iterator[str]:
        """What was done, for people."""
        if self.calibration is not None:
            found = self.calibration.out_of_fold
            yield (
                f"scores    divided by a temperature of {self.calibration.temperature:.4g}: the calibration error of "
                f"{found.rows:,} out-of-fold answers was {found.error_before:.4f} and is {found.error_after:.4f}"
            )


def calibrate_fit(way: FreshFit, state: FitState, recipe: Recipe, dataset: Dataset, trained: Trained) -> CalibratedFit:
    """Divide the scores by the temperature that suits the out-of-fold answers; the test rows judge it.

    Args:
        way: The fit.
        state: At its end.
        recipe: With or without [calibration].
        dataset: Its rows.
        trained: The network that came of it; it is not changed.
    """
    scored = None if recipe.calibration is None else way.apart(state)
    if scored is None:
        return CalibratedFit(trained)
    truth, weights = dataset.y[scored.numbers], _weights(dataset, scored.numbers)
    calibrated = calibrate_network(trained.kan, scored.scores, truth, weights)
    message = calibrated.message
    if len(dataset.test):
        scores = predict(replace(trained, outputs=None), dataset.x[dataset.test])
        weights = _weights(dataset, dataset.test)
        message.test.CopyFrom(compare_scores(scores, message.temperature, dataset.y[dataset.test], weights))
    return CalibratedFit(replace(trained, kan=calibrated.kan), message)


def _weights(dataset: Dataset, rows: RowNumbers) -> Numbers | None:
    """As in the loss: those of the rows times those of their classes."""
    weights = row_weights(dataset, rows, torch.float64)
    return None if weights is None else weights.numpy()

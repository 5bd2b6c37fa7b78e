"""A network whose scores of classes are divided by a fitted temperature."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from kan_api.v1.manifest_pb2 import Calibration, CalibrationScores
from kan_model import KAN, scaled_network
from training.calibration.error import calibration_error
from training.calibration.temperature import fit_temperature, log_loss
from training.data.encoding import Numbers
from training.data.split import RowNumbers


@dataclass(frozen=True)
class Calibrated:
    """A calibrated network.

    Attributes:
        kan: The network; its scores are divided by the temperature.
        message: What the manifest tells; without the test rows.
    """

    kan: KAN
    message: Calibration


def calibrate_network(kan: KAN, scores: Numbers, truth: RowNumbers, weights: Numbers | None) -> Calibrated:
    """Fit the temperature, and divide the network's scores by it.

    Args:
        kan: The network; it is not changed.
        scores: ``[rows, classes]``, scores by networks that these rows neither trained nor chose.
        truth: int64 ``[rows]``, the classes.
        weights: ``[rows]``, how much each row counts; None: all alike.
    """
    temperature = fit_temperature(scores, truth, weights)
    message = Calibration(temperature=temperature, out_of_fold=compare_scores(scores, temperature, truth, weights))
    return Calibrated(scaled_network(kan, 1 / temperature), message)


def divide_scores(probabilities: Numbers, temperature: float) -> Numbers:
    """The probabilities of scores that are divided by a temperature, from those of the scores: p^(1/T), rescaled."""
    logarithms = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    divided: Numbers = softmax(logarithms / temperature, axis=1)
    return divided


def compare_scores(
    scores: Numbers, temperature: float, truth: RowNumbers, weights: Numbers | None
) -> CalibrationScores:
    """Calibration error and log loss of scores, before and after the division; without rows that count no numbers."""
    if not len(scores) or (weights is not None and not np.any(weights)):
        return CalibrationScores()
    after = scores / temperature
    return CalibrationScores(
        rows=len(scores),
        error_before=calibration_error(softmax(scores, axis=1), truth, weights),
        error_after=calibration_error(softmax(after, axis=1), truth, weights),
        log_loss_before=log_loss(scores, truth, weights),
        log_loss_after=log_loss(after, truth, weights),
    )

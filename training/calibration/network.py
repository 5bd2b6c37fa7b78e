"""A network whose scores of classes are divided by a temperature."""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from kan_api.v1.manifest_pb2 import Calibration, CalibrationScores
from kan_model import KAN, scaled_network
from training.calibration.error import bin_by_confidence, calibration_error
from training.calibration.estimated import EstimatedNumber
from training.calibration.temperature import Temperature, choose_temperature, log_loss
from training.data.encoding import Numbers
from training.data.split import RowNumbers


@dataclass(frozen=True)
class Calibrated:
    """A calibrated network.

    Attributes:
        kan: The network; its scores are divided by the temperature.
        temperature: How it was chosen.
        message: What the manifest tells; without the test rows.
    """

    kan: KAN
    temperature: Temperature
    message: Calibration


def calibrate_network(
    kan: KAN,
    scores: Numbers,
    truth: RowNumbers,
    weights: Numbers | None = None,
    groups: RowNumbers | None = None,
    estimated: EstimatedNumber | None = None,
) -> Calibrated:
    """Choose the temperature, and divide the network's scores by it.

    Args:
        kan: The network; it is not changed.
        scores: ``[rows, classes]``, what the network says of rows that it did not train on.
        truth: int64 ``[rows]``, the classes.
        weights: ``[rows]``, how much each row counts; None: all alike.
        groups: ``[rows]``, the group of each; None: rows are independent.
        estimated: As for :func:`training.calibration.temperature.choose_temperature`.
    """
    temperature = choose_temperature(scores, truth, weights, groups, estimated)
    message = Calibration(
        temperature=temperature.value, out_of_fold=compare_scores(scores, temperature.value, truth, weights)
    )
    return Calibrated(scaled_network(kan, 1 / temperature.value), temperature, message)


def divide_scores(probabilities: Numbers, temperature: float) -> Numbers:
    """The probabilities of scores that are divided by a temperature, from those of the scores: p^(1/T), rescaled."""
    scores = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    divided: Numbers = softmax(scores / temperature, axis=1)
    return divided


def compare_scores(
    scores: Numbers, temperature: float, truth: RowNumbers, weights: Numbers | None = None
) -> CalibrationScores:
    """Calibration error and log loss of scores before and after the division, and the calibration curve after it.

    Rows of weight 0 take no part. Without rows that count there are no numbers.
    """
    if weights is not None:
        kept = weights > 0
        scores, truth, weights = scores[kept], truth[kept], weights[kept]
    if not len(scores):
        return CalibrationScores()
    after = scores / temperature
    curve = bin_by_confidence(softmax(after, axis=1), truth, weights)
    return CalibrationScores(
        rows=len(scores),
        temperature=temperature,
        error_before=calibration_error(softmax(scores, axis=1), truth, weights),
        error_after=curve.error,
        honest_error=curve.honest_error,
        log_loss_before=log_loss(scores, truth, weights),
        log_loss_after=log_loss(after, truth, weights),
        mean_probability=curve.told.tolist(),
        share_right=curve.found.tolist(),
    )

"""Scores of classes before and after they are divided by a temperature."""

import numpy as np
from scipy.special import softmax

from kan_api.v1.manifest_pb2 import CalibrationScores
from training.calibration.error import bin_by_confidence, calibration_error, error_by_chance
from training.calibration.temperature import log_loss
from training.data.encoding import Numbers
from training.data.split import RowNumbers


def divide_scores(probabilities: Numbers, temperature: float) -> Numbers:
    """The probabilities of scores that are divided by a temperature, from those of the scores: p^(1/T), rescaled."""
    scores = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    divided: Numbers = softmax(scores / temperature, axis=1)
    return divided


def compare_scores(
    scores: Numbers, temperature: float, truth: RowNumbers, weights: Numbers | None = None
) -> CalibrationScores:
    """Log loss and calibration error of scores before and after the division, and the calibration curve after it.

    Without rows there are no numbers.
    """
    if not len(scores):
        return CalibrationScores()
    after = softmax(scores / temperature, axis=1)
    curve = bin_by_confidence(after, truth, weights)
    return CalibrationScores(
        rows=len(scores),
        temperature=temperature,
        log_loss_before=log_loss(scores, truth, weights),
        log_loss_after=log_loss(scores / temperature, truth, weights),
        error_before=calibration_error(softmax(scores, axis=1), truth, weights),
        error_after=curve.error,
        error_by_chance=error_by_chance(after, weights),
        mean_probability=curve.told.tolist(),
        share_right=curve.found.tolist(),
    )

"""How often true values lie between the bounds, and how wide these are."""

import numpy as np
import torch

from kan_api.v1 import manifest_pb2 as pb
from training.calibration.ranks import conformal_quantile
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.intervals.calibrate import Calibrated, errors_of, network_inputs
from training.publishing.export import Trained
from training.publishing.manifest import predict

# The shares of the calibration curve.
_LEVELS = np.round([0.05, *np.arange(0.1, 0.96, 0.1), 0.95, 0.99], 2)

_BLOCK_ROWS = 2**14


def bounds_of(trained: Trained, x: Numbers) -> tuple[Numbers, Numbers]:
    """The lower and the upper bounds, float64 ``[rows, outputs]`` each.

    Args:
        trained: A network with intervals.
        x: ``[rows, features]``, raw.
    """
    assert trained.intervals is not None
    blocks = []
    for start in range(0, len(x), _BLOCK_ROWS):
        some = x[start : start + _BLOCK_ROWS]
        found = trained.intervals(torch.from_numpy(predict(trained, some)), network_inputs(trained, some))
        blocks.append([each.numpy() for each in found])
    lower, upper = (np.concatenate(each) for each in zip(*blocks, strict=True))
    return lower, upper


def judge_intervals(calibrated: Calibrated, dataset: Dataset, trained: Trained) -> pb.Intervals:
    """Judge the bounds by the test rows; without such rows those of each fold by the rows of the other folds.

    Args:
        calibrated: The bounds.
        dataset: The table.
        trained: The network that answers, with its bounds.

    Returns:
        What the manifest tells of them.
    """
    is_tested = len(dataset.test) > 0
    found, shares, widths, rows = _by_test_rows(calibrated, dataset, trained) if is_tested else _by_folds(calibrated)
    return pb.Intervals(
        coverage=calibrated.coverage,
        kind=calibrated.intervals.kind,
        half_width=[float(each) for each in calibrated.intervals.half_width],
        is_scaled=calibrated.intervals.scale is not None,
        calibration_rows=len(calibrated.scores),
        judged_by="test" if is_tested else "folds",
        judged_rows=rows,
        judged_coverage=shares.tolist(),
        judged_width=widths.tolist(),
        curve_asked=_LEVELS.tolist(),
        curve_found=found.T.ravel().tolist(),
    )


def judged_as(intervals: pb.Intervals, before: pb.Intervals | None) -> pb.Intervals:
    """These bounds, judged as those of the fit before were, whose test rows had no part in them."""
    if before is None or before.judged_by != "test":
        return intervals
    message = pb.Intervals()
    message.CopyFrom(before)
    message.half_width[:] = intervals.half_width
    message.kind, message.is_scaled = intervals.kind, intervals.is_scaled
    message.calibration_rows = intervals.calibration_rows
    return message


def curve_of(intervals: pb.Intervals) -> tuple[Numbers, Numbers]:
    """The calibration curve: shares that were asked for ``[levels]``, and found ``[levels, outputs]``."""
    asked = np.array(intervals.curve_asked)
    return asked, np.array(intervals.curve_found).reshape(-1, len(asked)).T


def scores_of_test_rows(dataset: Dataset, trained: Trained) -> tuple[RowNumbers, Numbers]:
    """The test rows with a finite answer, and their scores ``[rows, outputs]``: errors over the scale of the row.

    Args:
        dataset: The table.
        trained: A network with intervals.
    """
    assert trained.intervals is not None
    answers = predict(trained, dataset.x[dataset.test])
    is_finite = np.isfinite(answers).all(axis=1)
    rows = dataset.test[is_finite]
    errors = errors_of(trained.intervals.kind, dataset.y[rows], answers[is_finite])
    log_scales = trained.intervals.log_scale(network_inputs(trained, dataset.x[rows])).double().numpy()
    scores: Numbers = errors * np.exp(-log_scales)
    return rows, scores


def _by_test_rows(calibrated: Calibrated, dataset: Dataset, trained: Trained) -> tuple[Numbers, Numbers, Numbers, int]:
    rows, scores = scores_of_test_rows(dataset, trained)
    found = np.array([(scores <= conformal_quantile(calibrated.scores, level)).mean(axis=0) for level in _LEVELS])
    lower, upper = bounds_of(trained, dataset.x[rows])
    inside = (lower <= dataset.y[rows]) & (dataset.y[rows] <= upper)
    return found, inside.mean(axis=0), (upper - lower).mean(axis=0), len(rows)


def _by_folds(calibrated: Calibrated) -> tuple[Numbers, Numbers, Numbers, int]:
    """Each fold by the scores of the others; their errors and scales are out of fold already."""
    scores, answers = calibrated.scores, calibrated.rows.answers
    levels = [*_LEVELS, calibrated.coverage]
    found, widths = np.zeros((len(levels), scores.shape[1])), np.zeros_like(scores)
    for fold in np.unique(calibrated.folds):
        own = calibrated.folds == fold
        # Few rows have no rank for a share near 1; then the largest score stands for it.
        most = scores[~own].max(axis=0, initial=0.0)
        quantiles = [np.minimum(conformal_quantile(scores[~own], level), most) for level in levels]
        found += np.array([(scores[own] <= quantile).sum(axis=0) for quantile in quantiles])
        width = quantiles[-1] * np.exp(calibrated.log_scales[own])
        if calibrated.intervals.kind == "log":
            widths[own] = answers[own] * 2 * np.sinh(width)
        elif calibrated.intervals.kind == "positive":
            widths[own] = answers[own] + width - np.maximum(answers[own] - width, 0)
        else:
            widths[own] = 2 * width
    found /= len(scores)
    return found[:-1], found[-1], widths.mean(axis=0), len(scores)

"""How often true values lie between the bounds, and how wide these are."""

from dataclasses import dataclass

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

# The shares that the picture asks for.
_LEVELS = np.array([0.05, *np.arange(0.1, 0.96, 0.1), 0.95, 0.99])

_BLOCK_ROWS = 2**14


@dataclass(frozen=True)
class Sureness:
    """Bounds, and how good they are.

    Attributes:
        message: For the manifest.
        levels: ``[levels]``, shares that were asked for; the picture's.
        found: ``[levels, outputs]``, the shares of the judging rows between the bounds of each level.
    """

    message: pb.Intervals
    levels: Numbers
    found: Numbers

    def judged_as(self, before: "Sureness | None") -> "Sureness":
        """These bounds, judged as those of the fit before were, whose test rows had no part in them."""
        if before is None or before.message.judged_by != "test":
            return self
        message = pb.Intervals()
        message.CopyFrom(self.message)
        message.judged_by, message.judged_rows = before.message.judged_by, before.message.judged_rows
        message.judged_coverage[:] = before.message.judged_coverage
        message.judged_width[:] = before.message.judged_width
        return Sureness(message, before.levels, before.found)


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


def judge_intervals(calibrated: Calibrated, dataset: Dataset, trained: Trained) -> Sureness:
    """Judge the bounds by the test rows; without such rows those of each fold by the rows of the other folds.

    Args:
        calibrated: The bounds.
        dataset: The table.
        trained: The network that answers, with its bounds.
    """
    is_tested = len(dataset.test) > 0
    found, shares, widths, rows = _by_test_rows(calibrated, dataset, trained) if is_tested else _by_folds(calibrated)
    message = pb.Intervals(
        coverage=calibrated.coverage,
        kind=calibrated.intervals.kind,
        half_width=[float(each) for each in calibrated.intervals.half_width],
        is_scaled=calibrated.intervals.scale is not None,
        calibration_rows=len(calibrated.scores),
        judged_by="test" if is_tested else "folds",
        judged_rows=rows,
        judged_coverage=shares.tolist(),
        judged_width=widths.tolist(),
    )
    return Sureness(message, _LEVELS, found)


def _by_test_rows(calibrated: Calibrated, dataset: Dataset, trained: Trained) -> tuple[Numbers, Numbers, Numbers, int]:
    intervals = calibrated.intervals
    rows, answers = _answered(dataset, dataset.test, trained)
    errors = errors_of(intervals.kind, dataset.y[rows], answers)
    log_scales = intervals.log_scale(network_inputs(trained, dataset.x[rows])).double().numpy()
    scores = errors * np.exp(-log_scales)
    found = np.array([(scores <= conformal_quantile(calibrated.scores, level)).mean(axis=0) for level in _LEVELS])
    lower, upper = bounds_of(trained, dataset.x[rows])
    inside = (lower <= dataset.y[rows]) & (dataset.y[rows] <= upper)
    return found, inside.mean(axis=0), (upper - lower).mean(axis=0), len(rows)


def _answered(dataset: Dataset, rows: RowNumbers, trained: Trained) -> tuple[RowNumbers, Numbers]:
    answers = predict(trained, dataset.x[rows])
    is_finite = np.isfinite(answers).all(axis=1)
    return rows[is_finite], answers[is_finite]


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

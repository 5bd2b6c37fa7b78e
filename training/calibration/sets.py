"""Sets of classes, of which a share will hold the true class of new rows.

A row's set holds its most probable class and each other class with a probability of at least a threshold t. Each row
was left out by one member; what this member says of the row's true class is the row's score. With n scores, t is the
one of rank ⌈(n + 1) · coverage⌉ from the top, so that a new score is at least t as often as the coverage asks for. What
is served is the mean of the members, which errs less than one of them, so the sets may hold more than they
promise. Each row counts alike, whatever its weight.

Example: coverage 0.9 and 199 scores. The rank is ⌈200 · 0.9⌉ = 180; the 180th largest score is 0.21, so a row with the
probabilities 0.7, 0.25 and 0.05 has a set of the first two classes.

Source: Sadinle, Lei and Wasserman 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels"; the pooled
form over members as in :mod:`training.intervals`.
"""

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ClassSets
from training.calibration.ranks import conformal_quantile, fewest_rows
from training.data.encoding import Numbers
from training.data.split import RowNumbers


def class_sets(probabilities: Numbers, threshold: Numbers | float) -> NDArray[np.bool_]:
    """Which classes are in the set of each row, ``[rows, classes]``.

    Args:
        probabilities: ``[rows, classes]``.
        threshold: One for all rows, or ``[rows, 1]``.
    """
    found: NDArray[np.bool_] = probabilities >= threshold
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return found


def find_threshold(scores: Numbers, coverage: float) -> float:
    """The score of rank ⌈(n + 1) · coverage⌉ from the top, rounded down to float32; 0 if there are fewer scores.

    It is also 0 where it is below the smallest normal number of float32, which a runtime may answer as 0.

    Args:
        scores: ``[n]``, the probability of the true class of each row, by a network that left the row out.
        coverage: Between 0 and 1.
    """
    exact = -float(conformal_quantile(-scores[:, None], coverage)[0])
    # The server answers in float32, and a score that equals the threshold is in.
    near = np.float32(exact)
    threshold = float(near if float(near) <= exact else np.nextafter(near, np.float32(0)))
    return threshold if threshold >= float(np.finfo(np.float32).tiny) else 0.0


def find_sets(probabilities: Numbers, truth: RowNumbers, left_out_by: RowNumbers, coverage: float) -> ClassSets:
    """The threshold, and how good it is: the sets of each fold are judged by the threshold of the other folds.

    Nothing is told of that where the other folds of a row have too few rows for a threshold.

    Args:
        probabilities: ``[rows, classes]``, by the member that left the row out.
        truth: int64 ``[rows]``, the classes.
        left_out_by: ``[rows]``, the index of this member.
        coverage: Between 0 and 1.
    """
    scores = probabilities[np.arange(len(truth)), truth]
    message = ClassSets(
        coverage=coverage,
        threshold=find_threshold(scores, coverage),
        calibration_rows=len(scores),
    )
    folds, counts = np.unique(left_out_by, return_counts=True)
    if len(scores) - counts.max(initial=0) >= fewest_rows(coverage):
        thresholds = np.empty((len(scores), 1))
        for member in folds:
            own = left_out_by == member
            thresholds[own] = find_threshold(scores[~own], coverage)
        _judge(message, "folds", probabilities, truth, thresholds)
    return message


def judge_sets(message: ClassSets, probabilities: Numbers, truth: RowNumbers) -> None:
    """Judge the sets by test rows, which had no part in them; without such rows the judgement stays.

    Args:
        message: Is changed.
        probabilities: ``[rows, classes]``, as they are served.
        truth: int64 ``[rows]``, the classes.
    """
    if len(truth):
        _judge(message, "test", probabilities, truth, message.threshold)


def _judge(
    message: ClassSets, judged_by: str, probabilities: Numbers, truth: RowNumbers, threshold: Numbers | float
) -> None:
    found = class_sets(probabilities, threshold)
    message.judged_by, message.judged_rows = judged_by, len(truth)
    message.judged_coverage = float(found[np.arange(len(truth)), truth].mean())
    message.judged_size = float(found.sum(axis=1).mean())

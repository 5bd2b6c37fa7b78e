"""How well the classes are told apart, class by class: precision, recall, the area under the ROC curve, calibration."""

from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sk

from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.report.judged import Judged

# Bins of a calibration curve, and the least rows of a bin: the share of fewer rows says little.
_BINS, _LEAST_ROWS = 10, 10


@dataclass(frozen=True)
class ClassScore:
    """One class against all others; shares from 0 to 1, each row counted by its weight.

    Attributes:
        rows: Rows of this class.
        share: Their share: the precision of always answering this class.
        missed: Rows of this class that got another answer.
        recall: The share of this class's rows that got this answer; None: the class has no rows.
        precision: The share of this answer's rows that are of this class; None: it was never answered.
        auc: The chance that a row of this class gets a higher probability than a row of another, 0.5 by chance; None:
            all rows are of this class, or none.
    """

    rows: int
    share: float
    missed: int
    recall: float | None
    precision: float | None
    auc: float | None


@dataclass(frozen=True)
class Calibration:
    """What came true of probabilities, in bins of about equally many rows.

    Attributes:
        told: ``[bins]``, the mean probability.
        found: ``[bins]``, the share of rows where it came true.
        rows: int64 ``[bins]``.
        error: The mean of |told − found| over the rows (expected calibration error, Naeini et al. 2015).
    """

    told: Numbers
    found: Numbers
    rows: RowNumbers
    error: float


def score_classes(judged: Judged) -> list[ClassScore]:
    """The scores of each class, in the order of the classes; ``judged`` is of a classification."""
    truth, answered = judged.truth, judged.answers.argmax(axis=1)
    weights = np.ones(len(truth)) if judged.weights is None else judged.weights
    return [
        _score(truth == place, answered == place, judged.answers[:, place], weights)
        for place in range(judged.answers.shape[1])
    ]


def _score(
    is_class: np.ndarray[tuple[int], np.dtype[np.bool_]],
    is_answer: np.ndarray[tuple[int], np.dtype[np.bool_]],
    probability: Numbers,
    weights: Numbers,
) -> ClassScore:
    of_class, of_answer = float(weights[is_class].sum()), float(weights[is_answer].sum())
    right, total = float(weights[is_class & is_answer].sum()), float(weights.sum())
    both = 0 < of_class < total
    return ClassScore(
        rows=int(is_class.sum()),
        share=of_class / total if total else 0.0,
        missed=int((is_class & ~is_answer).sum()),
        recall=right / of_class if of_class else None,
        precision=right / of_answer if of_answer else None,
        auc=float(sk.roc_auc_score(is_class, probability, sample_weight=weights)) if both else None,
    )


def calibrate(judged: Judged) -> Calibration:
    """Of two classes the probability of the second one; of more the probability of the class that is answered."""
    two = judged.answers.shape[1] == 2
    probability = judged.answers[:, 1] if two else judged.answers.max(axis=1)
    came_true = judged.truth == (1 if two else judged.answers.argmax(axis=1))
    weights = np.ones(len(probability)) if judged.weights is None else judged.weights
    bins = max(1, min(_BINS, len(probability) // _LEAST_ROWS))
    edges = np.quantile(probability, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, probability)
    rows = np.bincount(place, minlength=bins)
    weight = np.bincount(place, weights, minlength=bins)
    kept = weight > 0
    told = np.bincount(place, weights * probability, minlength=bins)[kept] / weight[kept]
    found = np.bincount(place, weights * came_true, minlength=bins)[kept] / weight[kept]
    error = float(np.average(np.abs(told - found), weights=weight[kept])) if kept.any() else 0.0
    return Calibration(told, found, rows[kept], error)

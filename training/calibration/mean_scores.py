"""What the mean of the members would say of a row that none of them had trained on.

Each row was left out by one member only, and the mean of the members is what is served. Members differ, and their mean
is less certain than each of them, so a temperature that suits single members makes the mean too uncertain. The mean of
all members on their own training rows, on the other hand, is more certain than it will be on new rows.

Training on a row of class y moves a member's scores of this row along e_y - p, where p is the member's answer: that is
the direction in which its log loss falls. So for the members m that trained on row i this movement is taken back,

    z̃_i = mean over members of  z_m(x_i)                           the one that left the row out
                                z_m(x_i) - c · (e_y - p_m(x_i))    each of the others,

by one number c ≥ 0 for all rows. The members that left rows out tell c: the true class must have, on average, as high
a score as they give it. This makes the mean score of the true class, the only part of the log loss that the labels
enter by, equal to what the left-out rows say. It is that of the mean of the members without any bias, since a mean of
scores is linear in the members.

All scores are of the published members, at the published step. The log loss of all rows chose this step among at most
40 of each grid, so a row has a small say in it. Scores at a step that the other rows choose would be without it, but
they are of other networks: T would fit these. It did not fit the published one where steps differed: the log loss of
20,000 new rows rose by up to 0.018 for 1,000 rows, and fell less on average.

Example, two classes and 300 rows, 8 members fitted long past their best step: on 20,000 new rows the log loss of the
mean was 1.040 and its best temperature 4.57. z̃ gives 1.048 and 4.77, the members that left rows out 1.465 and 7.03.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from training.calibration.estimated import EstimatedNumber
from training.data.encoding import Numbers
from training.data.split import RowNumbers


@dataclass(frozen=True)
class MeanScores:
    """Scores of the mean of the members, as if no member had trained on these rows.

    Attributes:
        scores: ``[rows, classes]``, with a mean of 0 in each row.
        length: The number c that the scores are made by.
    """

    scores: Numbers
    length: EstimatedNumber


def estimate_mean_scores(
    members: Numbers, left_out_by: RowNumbers, truth: RowNumbers, weights: Numbers | None = None
) -> MeanScores:
    """Estimate what the mean of the members would say if no member had trained on these rows.

    Args:
        members: ``[rows, members, classes]``, the scores of each member.
        left_out_by: ``[rows]``, the index of the member that did not train on the row.
        truth: int64 ``[rows]``, the classes.
        weights: ``[rows]``, how much each row counts, above 0; None: all alike.
    """
    count, classes = members.shape[1:]
    rows = np.arange(len(members))
    members = members - members.mean(axis=2, keepdims=True)
    if not len(rows):
        return MeanScores(np.empty((0, classes)), EstimatedNumber(np.empty((0, classes)), np.empty(0)))
    left_out = members[rows, left_out_by]
    trained = np.ones((len(rows), count, 1))
    trained[rows, left_out_by] = 0
    summed = (trained * members).sum(axis=1)
    movement = (trained * (np.eye(classes)[truth][:, None] - softmax(members, axis=2))).sum(axis=1)
    excess, most = (summed - (count - 1) * left_out)[rows, truth], movement[rows, truth]
    mean_excess, mean_most = float(np.average(excess, weights=weights)), float(np.average(most, weights=weights))
    # Members that are sure of each row they trained on moved along nothing; those that are no surer did not move.
    length = max(0.0, mean_excess / mean_most) if mean_most > 0 else 0.0
    influences = (excess - length * most) / mean_most if length > 0 else np.zeros(len(rows))
    scores = (left_out + summed - length * movement) / count
    return MeanScores(scores, EstimatedNumber(-movement / count, influences))

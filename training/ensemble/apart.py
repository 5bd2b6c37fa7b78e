"""Out-of-fold answers in whose choice their own rows had no part: a calibration is fitted to them.

The step that is kept for all members has the lowest loss of all out-of-fold answers, so each row has a share in that
choice. Here the rows are dealt into parts as well, apart from the folds. For the rows of a part, the answers of another
step are kept: the one with the lowest loss of the out-of-fold answers to the *other* parts' rows. So no row calibrates
a member that it trained, or at a step that it chose.

Example: 1,000 rows in 5 parts. The loss of 800 rows chooses the step whose answers to the other 200 are kept.
"""

import torch
from torch import Tensor

from training.data.objective.loss import loss
from training.data.objective.loss_function import Loss
from training.data.samples import Samples
from training.fitting.state import Apart


def follow_apart(before: Apart | None, answered: Tensor, judged: Samples, parts: Tensor, task: Loss) -> Apart:
    """The answers to keep, after a further step.

    Args:
        before: As after the steps before; None: there were none.
        answered: ``[rows, outputs]``, the out-of-fold answers at this step.
        judged: These rows.
        parts: int64 ``[rows]``, the part of each row. Rows of the only part keep NaN: no other row chooses a step.
        task: The loss that chooses.
    """
    count = int(parts.max()) + 1
    if before is None:
        before = Apart(torch.full_like(answered, torch.nan), torch.full((count,), torch.inf, dtype=torch.float64))
    answers, losses = before.answers.clone(), before.losses.clone()
    for part in range(count):
        own = parts == part
        if own.all() or not own.any():
            continue
        weights = None if judged.weights is None else judged.weights[~own]
        found = loss(task, answered[~own], judged.y[~own], weights).double()
        if found < losses[part]:
            losses[part] = found
            answers[own] = answered[own]
    return Apart(answers, losses)

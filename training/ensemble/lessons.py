"""What monotone members learn from free ones: answers with less noise than the targets have.

Members with a promise are fitted twice: first without it, then with it. In the second fit half of the loss is that of
the targets, and half is the distance to what the same member answered in the first fit. For squared errors this is a
fit to the mean of target and answer, in which the noise is about half as large.

The same rows train a member both times. The step of the first fit whose answers teach it is chosen by the rows of the
other folds, as in :mod:`training.fitting.apart`. So no row that a member leaves out trains it or its teacher.

Why it helps was measured, not derived: see "Taught by the free fit" in benchmarks/README.md.

Source: distillation into a network of the same family, e.g. Furlanello et al. 2018, arXiv 1805.04770.
"""

from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from training.data.objective.loss_function import Loss, loss_function

_SHARE_OF_LESSONS = 0.5


def with_lessons(of_targets: Tensor, task: Loss, outputs: Tensor, lessons: Tensor, weights: Tensor | None) -> Tensor:
    """The loss of targets and lessons together.

    Args:
        of_targets: The mean loss of these outputs by the targets.
        task: The loss.
        outputs: ``[rows, outputs]``, of the members that learn.
        lessons: Likewise, of the members of the first fit.
        weights: ``[rows]``, a factor of each row; None: all 1.
    """
    gap = distance(task, outputs, lessons, weights)
    return (1 - _SHARE_OF_LESSONS) * of_targets + _SHARE_OF_LESSONS * gap


def distance(task: Loss, outputs: Tensor, lessons: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean distance of outputs to lessons, both ``[rows, outputs]``; the other arguments as above.

    Of classes it is the cross entropy of the probabilities, which a number added to all scores of a row does not
    change; of anything else the squared difference.
    """
    if loss_function(task).name == "cross_entropy":
        each = cross_entropy(outputs, softmax(lessons, dim=1), reduction="none")
    else:
        each = (outputs - lessons).square().mean(dim=1)
    return each.mean() if weights is None else (weights * each).mean()

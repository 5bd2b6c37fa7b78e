"""Out-of-fold answers that their own rows did not choose: what intervals can be made from.

The members are kept at one step, which the out-of-fold answers of all rows choose. So a row has a say in the step of
the member that left it out. Here each fold has a step of its own, which the rows of the other folds choose; where the
fit ends early, each fold has an end of its own too.

Example: 4 members, and the loss of the out-of-fold answers of folds 2 to 4 is lowest at step 30. Then the rows of fold
1 are answered by member 1 as it was at step 30, also if the members are published as they were at step 28.

An indirect say is left: members 2 to 4, whose losses choose this step, have trained on the rows of fold 1.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from training.data.encoding import Numbers
from training.data.objective.loss import loss
from training.data.objective.loss_function import Loss
from training.data.samples import Samples
from training.data.split import RowNumbers


@dataclass
class Apart:
    """The best step of each fold by the rows of the other folds, and the answers at it.

    Attributes:
        losses: ``[members]``, the lowest loss of the rows of all other folds; infinite before the first look.
        steps: int64 ``[members]``, the step of that loss.
        ended: bool ``[members]``: the fold takes no later step.
        answers: ``[judging rows, outputs]``, the network's outputs; NaN where a fold has no other fold beside it.
        lessons: ``[rows, members, outputs]``, what each member answers to all rows at its fold's step, NaN likewise;
            None: nobody learns from them.
    """

    losses: Tensor
    steps: Tensor
    ended: Tensor
    answers: Tensor
    lessons: Tensor | None = None

    @classmethod
    def begin(cls, members: int, rows: int, outputs: int, like: Tensor) -> "Apart":
        """Before the first look."""
        return cls(
            torch.full((members,), math.inf, dtype=torch.float64),
            torch.zeros(members, dtype=torch.int64),
            torch.zeros(members, dtype=torch.bool),
            like.new_full((rows, outputs), math.nan),
        )

    def look(self, step: int, answered: Tensor, judged: Samples, folds: Tensor, task: Loss) -> list[int]:
        """Compare the answers of a step with those kept so far; gives the folds whose best step it is.

        Args:
            step: Number of the step.
            answered: ``[judging rows, outputs]``, each row's by the member that left it out.
            judged: These rows.
            folds: int64 ``[judging rows]``, from 0 for the first member.
            task: The loss.
        """
        improved = []
        for member in (~self.ended).nonzero()[:, 0].tolist():
            others, own = (folds != member).nonzero()[:, 0], folds == member
            if not len(others):
                continue
            some = judged.take(others)
            found = float(loss(task, answered[others], some.y, some.weights))
            if found < self.losses[member]:
                self.losses[member], self.steps[member] = found, step
                self.answers[own] = answered[own]
                improved.append(member)
        return improved

    def end_some(self, is_past: Tensor) -> None:
        """Fix the folds for which this is true, bool ``[members]``."""
        self.ended = self.ended | is_past


@dataclass(frozen=True)
class ApartRows:
    """Answers to rows that neither trained, stopped nor chose the networks that answered them.

    Attributes:
        numbers: ``[rows]``, the numbers of the rows.
        answers: ``[rows, outputs]``, in raw units.
        folds: ``[rows]``, the fold of each.
        chose: Numbers of the rows that chose the plan of the fit; none of them is among ``numbers``.
    """

    numbers: RowNumbers
    answers: Numbers
    folds: RowNumbers
    chose: RowNumbers

    def thinned(self, most: int) -> "ApartRows":
        """At most so many of the rows, evenly over all of them."""
        step = -(-len(self.numbers) // most)
        return ApartRows(self.numbers[::step], self.answers[::step], self.folds[::step], self.chose)

    def without(self, chose: RowNumbers) -> "ApartRows":
        """The rows that are not among these, which chose the plan of this fit before it began."""
        left = ~np.isin(self.numbers, chose)
        both = np.union1d(self.chose, chose)
        return ApartRows(self.numbers[left], self.answers[left], self.folds[left], both)

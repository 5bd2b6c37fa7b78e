"""Working targets of the families against automatic derivatives of their losses."""

import pytest
import torch
from torch.nn.functional import one_hot

from training.additive.families import AMOUNTS, CLASSES, COUNTS, SQUARES, TWO_CLASSES, Family


@pytest.mark.parametrize("family", [SQUARES, TWO_CLASSES, CLASSES, COUNTS, AMOUNTS])
def test_a_newton_step_goes_down_the_gradient_of_the_loss(family: Family) -> None:
    """w·(z − η) is minus the derivative of the loss by the score, also of scores far below and above the others."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.linspace(-20, 8, 15, dtype=torch.float64)[torch.randperm(15, generator=generator)]
    if family is CLASSES:
        scores, y = scores.reshape(5, 3), one_hot(torch.tensor([0, 1, 2, 1, 0]), 3).double()
    else:
        scores, y = scores[:, None], (torch.arange(15) % 2).double()[:, None]
    scores.requires_grad_()
    (slope,) = torch.autograd.grad(family.losses(scores, y).sum(), scores)
    for output in range(scores.shape[1]):
        with torch.no_grad():
            targets, weights = family.working(scores, y, output)
            torch.testing.assert_close(weights * (targets - scores[:, output]), -slope[:, output])

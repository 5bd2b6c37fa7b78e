"""Refine a and b of c·f(a·x + b) + d by Levenberg–Marquardt; c and d follow by linear least squares."""

from collections.abc import Callable

import torch
from torch import Tensor

# The smallest and the largest |a|. A start above half the largest may grow to twice itself.
_LEAST, _LARGEST = 1e-3, 100.0
_STEPS, _IDLE_STEPS = 40, 6


def polish(
    function: Callable[[Tensor], Tensor], u: Tensor, v: Tensor, a: Tensor, b: Tensor, moves: Tensor
) -> tuple[Tensor, Tensor]:
    """Refine several starts (a, b) at once; no result is worse than its start.

    Args:
        function: f, elementwise.
        u: ``[samples]``.
        v: ``[samples]``.
        a: ``[starts]``.
        b: ``[starts]``.
        moves: ``[2]``: 1 if a (b) may change, else 0.

    Returns:
        The refined a and b, ``[starts]`` each.

    Source: variable projection after Kaufman (1975): c and d are solved for at every step.
    """
    v = v - v.mean()
    inside = torch.stack([u, torch.ones_like(u)], dim=1) * moves
    largest = (2 * a.abs()).clamp(min=_LARGEST)
    damping, idle = torch.full_like(a, 1e-3), 0
    loss = loss_of(function(a.unsqueeze(1) * u + b.unsqueeze(1)), v)
    for _ in range(_STEPS):
        t = (a.unsqueeze(1) * u + b.unsqueeze(1)).requires_grad_()
        with torch.enable_grad():
            values = function(t)
            (slope,) = torch.autograd.grad(values.sum(), t)
        centred, factor = fit_linear(values.detach(), v)
        # At the end of the domain of sqrt or arcsin the slope is infinite. Such a sample does not affect the step.
        slope = torch.where(torch.isfinite(slope), slope, 0) * factor.unsqueeze(1)
        jacobian = slope.unsqueeze(2) * inside
        jacobian = jacobian - jacobian.mean(dim=1, keepdim=True)
        along = torch.einsum("kn,knp->kp", centred, jacobian) / centred.square().sum(dim=1, keepdim=True)
        jacobian = jacobian - centred.unsqueeze(2) * along.unsqueeze(1)
        normal = jacobian.transpose(1, 2) @ jacobian
        gradient = torch.einsum("knp,kn->kp", jacobian, v - factor.unsqueeze(1) * centred)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        ridge = torch.diag_embed(diagonal * damping.unsqueeze(1) + 1e-300 + 1e-14 * diagonal.sum(dim=1, keepdim=True))
        step = torch.linalg.solve_ex(normal + ridge, gradient.unsqueeze(2)).result.squeeze(2) * moves
        new_a, new_b = a + step[:, 0], b + step[:, 1]
        new_loss = loss_of(function(new_a.unsqueeze(1) * u + new_b.unsqueeze(1)), v)
        gain = (loss - new_loss) > 1e-9 * loss
        better = (new_loss < loss) & (new_a.abs() >= _LEAST) & (new_a.abs() <= largest)
        a, b, loss = torch.where(better, new_a, a), torch.where(better, new_b, b), torch.where(better, new_loss, loss)
        damping = (damping * torch.where(better, 0.2, 5.0)).clamp(1e-12, 1e12)
        idle = 0 if gain.any() else idle + 1
        if idle == _IDLE_STEPS:
            break
    return a, b


def loss_of(values: Tensor, v: Tensor) -> Tensor:
    """1 − R² of the best c·values + d: ``[…]`` for values ``[…, samples]``; infinity if it is not finite."""
    centred, factor = fit_linear(values, v)
    loss = (v - factor.unsqueeze(-1) * centred).square().mean(dim=-1) / v.square().mean()
    return torch.where(torch.isfinite(loss), loss, torch.inf)


def fit_linear(values: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The values minus their mean, and the c of the best fit c·values + d of v; NaN if the values do not vary."""
    v = v - v.mean()
    mean = values.mean(dim=-1, keepdim=True)
    centred = values - mean
    square = centred.square().sum(dim=-1)
    # Values that differ only by rounding count as constant.
    varies = square > (1e-10 * values.abs().amax(dim=-1)).square() * len(v)
    return centred, torch.where(varies, (centred * v).sum(dim=-1) / square, torch.nan)

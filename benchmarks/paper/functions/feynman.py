"""The 27 equations of table 2, without units.

The paper prints no ranges (of I.16.6: -1 to 1, where it is infinite at two corners); these are ours. The shapes are
ours too: small ones from the formula, with logarithms or squares in place of products.
"""

import math
from dataclasses import dataclass

import torch

from benchmarks.paper.fits.points import Target

_PI = math.pi


@dataclass(frozen=True)
class Equation:
    """A line of the paper's table 2.

    Attributes:
        target: The function.
        width: A small shape that the formula suggests.
        paper: The paper's lowest test RMSE: human-made, pruned and unpruned KAN, MLP.
    """

    target: Target
    width: tuple[int, ...]
    paper: tuple[float, float, float, float]

    @property
    def paper_kan(self) -> float:
        """The lowest of the paper's three KANs."""
        return min(self.paper[:3])


_SMALL, _POSITIVE, _UNIT, _ANGLE = (-1.0, 1.0), (0.5, 2.0), (0.0, 1.0), (0.0, 2 * _PI)

EQUATIONS = (
    Equation(
        Target("I.6.2", (_SMALL, _POSITIVE), lambda t, s: torch.exp(-((t / s) ** 2) / 2) / (s * math.sqrt(2 * _PI))),
        (2, 3, 1, 1),
        (7.66e-5, 2.86e-5, 4.60e-5, 1.45e-4),
    ),
    Equation(
        Target(
            "I.6.2b",
            ((-1.5, 1.5), (-1.5, 1.5), _POSITIVE),
            lambda t, u, s: torch.exp(-(((t - u) / s) ** 2) / 2) / (s * math.sqrt(2 * _PI)),
        ),
        (3, 2, 3, 1, 1),
        (1.22e-3, 4.45e-4, 1.25e-3, 7.40e-4),
    ),
    Equation(
        Target(
            "I.9.18",
            (_POSITIVE, (1.5, 2), _UNIT, _UNIT, _UNIT, _UNIT),
            lambda a, b, c, d, e, f: a / ((b - 1) ** 2 + (c - d) ** 2 + (e - f) ** 2),
        ),
        (6, 4, 2, 1, 1),
        (1.48e-3, 8.62e-3, 6.56e-3, 1.59e-3),
    ),
    Equation(
        Target("I.12.11", (_SMALL, _ANGLE), lambda a, t: 1 + a * torch.sin(t)),
        (2, 2, 1),
        (2.07e-3, 1.39e-3, 9.13e-4, 6.71e-4),
    ),
    Equation(
        Target("I.13.12", (_UNIT, _POSITIVE), lambda a, b: a * (1 / b - 1)),
        (2, 2, 1),
        (7.22e-3, 4.81e-3, 2.72e-3, 1.42e-3),
    ),
    Equation(
        Target("I.15.3x", (_SMALL, (-0.9, 0.9)), lambda a, b: (1 - a) / torch.sqrt(1 - b**2)),
        (2, 2, 1),
        (7.35e-3, 1.58e-3, 1.14e-3, 8.54e-4),
    ),
    Equation(
        Target("I.16.6", ((-0.8, 0.8), (-0.8, 0.8)), lambda a, b: (a + b) / (1 + a * b)),
        (2, 1, 1),
        (1.06e-3, 1.19e-3, 1.53e-3, 6.20e-4),
    ),
    Equation(
        Target("I.18.4", (_POSITIVE, _SMALL), lambda a, b: (1 + a * b) / (1 + a)),
        (2, 3, 1),
        (3.92e-4, 1.50e-4, 1.32e-3, 3.68e-4),
    ),
    Equation(
        Target("I.26.2", ((0, 0.99), _ANGLE), lambda n, t: torch.arcsin(n * torch.sin(t))),
        (2, 2, 1, 1),
        (1.22e-4, 7.90e-4, 8.63e-4, 1.24e-4),
    ),
    Equation(
        Target("I.27.6", (_POSITIVE, _POSITIVE), lambda a, b: 1 / (1 + a * b)),
        (2, 1, 1),
        (2.22e-4, 1.94e-4, 2.14e-4, 2.46e-4),
    ),
    Equation(
        Target(
            "I.29.16",
            (_SMALL, _ANGLE, _ANGLE),
            lambda a, t, u: torch.sqrt(1 + a**2 - 2 * a * torch.cos(t - u)),
        ),
        (3, 2, 3, 1, 1),
        (2.36e-1, 3.99e-3, 3.20e-3, 4.64e-3),
    ),
    Equation(
        Target(
            "I.30.3",
            ((1, 4), (0.5, _PI)),
            lambda n, t: torch.sin(n * t / 2) ** 2 / torch.sin(t / 2) ** 2,
        ),
        (2, 2, 2, 1),
        (3.85e-1, 1.03e-3, 1.11e-2, 1.50e-2),
    ),
    Equation(
        Target("I.30.5", ((0.1, 0.9), (1, 2)), lambda a, n: torch.arcsin(a / n)),
        (2, 1, 1),
        (2.23e-4, 3.49e-5, 6.92e-5, 9.45e-5),
    ),
    Equation(
        Target("I.37.4", (_UNIT, _ANGLE), lambda a, d: 1 + a + 2 * torch.sqrt(a) * torch.cos(d)),
        (2, 3, 1),
        (7.57e-5, 4.91e-6, 3.41e-4, 5.67e-4),
    ),
    Equation(
        Target("I.40.1", (_POSITIVE, _SMALL), lambda n, a: n * torch.exp(-a)),
        (2, 1, 1),
        (3.45e-3, 5.01e-4, 3.12e-4, 3.99e-4),
    ),
    Equation(
        Target("I.44.4", (_SMALL, _POSITIVE), lambda n, a: n * torch.log(a)),
        (2, 2, 1),
        (2.30e-5, 2.43e-5, 1.10e-4, 3.99e-4),
    ),
    Equation(
        Target("I.50.26", (_ANGLE, _SMALL), lambda a, k: torch.cos(a) + k * torch.cos(a) ** 2),
        (2, 3, 1),
        (1.52e-4, 5.82e-4, 4.90e-4, 1.53e-3),
    ),
    Equation(
        Target("II.2.42", (_SMALL, _SMALL), lambda a, b: (a - 1) * b),
        (2, 2, 1),
        (8.54e-4, 7.22e-4, 1.22e-3, 1.81e-4),
    ),
    Equation(
        Target(
            "II.6.15a",
            (_SMALL, _SMALL, _POSITIVE),
            lambda a, b, c: c * torch.sqrt(a**2 + b**2) / (4 * _PI),
        ),
        (3, 2, 2, 1),
        (2.61e-3, 3.28e-3, 1.35e-3, 5.92e-4),
    ),
    Equation(
        Target("II.11.7", (_POSITIVE, _SMALL, _ANGLE), lambda n, a, t: n * (1 + a * torch.cos(t))),
        (3, 3, 2, 1),
        (7.10e-3, 8.52e-3, 5.03e-3, 5.92e-4),
    ),
    Equation(
        Target("II.11.27", (_UNIT, _UNIT), lambda n, a: n * a / (1 - n * a / 3)),
        (2, 2, 1, 1),
        (2.67e-5, 4.40e-5, 1.43e-5, 7.18e-5),
    ),
    Equation(
        Target("II.35.18", (_POSITIVE, _SMALL), lambda n, a: n / (torch.exp(a) + torch.exp(-a))),
        (2, 1, 1),
        (4.13e-4, 1.58e-4, 7.71e-5, 7.92e-5),
    ),
    Equation(
        Target("II.36.38", (_SMALL, _SMALL, _SMALL), lambda a, k, b: a + k * b),
        (3, 3, 1),
        (2.85e-3, 1.15e-3, 3.03e-3, 2.15e-3),
    ),
    Equation(
        Target("II.38.3", (_POSITIVE, _POSITIVE), lambda a, b: a / b),
        (2, 1, 1),
        (1.47e-4, 8.78e-5, 6.43e-4, 5.26e-4),
    ),
    Equation(
        Target(
            "III.9.52",
            (_SMALL, (-_PI, _PI), (-_PI, _PI)),
            lambda a, b, c: a * torch.sinc((b - c) / (2 * _PI)) ** 2,
        ),
        (3, 2, 2, 1),
        (4.43e-2, 3.90e-3, 2.11e-2, 9.07e-4),
    ),
    Equation(
        Target("III.10.19", (_SMALL, _SMALL), lambda a, b: torch.sqrt(1 + a**2 + b**2)),
        (2, 1, 1),
        (2.54e-3, 1.18e-3, 8.16e-4, 1.67e-4),
    ),
    Equation(
        Target("III.17.37", (_POSITIVE, _SMALL, _ANGLE), lambda b, a, t: b * (1 + a * torch.cos(t))),
        (3, 3, 2, 1),
        (1.10e-3, 5.03e-4, 4.12e-4, 6.80e-4),
    ),
)

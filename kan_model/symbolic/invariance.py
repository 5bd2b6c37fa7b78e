"""What a function f may have done to its argument without c·f(·) + d becoming another family of curves.

sin is sin again half a period on, x^2 whatever factor stands inside. Such constants cannot be found from samples: they
are not searched for, not counted and set to a plain value.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.network.functions import FUNCTIONS

# An argument further away than this many times its spread is counted from its centre: c·x + d would cancel digits.
_FAR = 100.0
# exp of more than this is a number that nobody reads, exp of much more none at all.
_LARGE_EXPONENT = 20.0


@dataclass(frozen=True)
class Invariance:
    """Changes of t under which f(t) becomes m·f(t) + o with some m and o, and whether f is a wave.

    Attributes:
        scale: t -> s·t for any s > 0 (powers, log, abs).
        shift: t -> t + s for any s (exp, x).
        flip: t -> -t (even and odd functions, and those odd about a point: arccos, sigmoid).
        half_turn: t -> t + π (sin, cos, tan).
        wave: A sine of any phase: it oscillates as fast as a says, without poles (sin, cos).
    """

    scale: bool
    shift: bool
    flip: bool
    half_turn: bool
    wave: bool

    @property
    def free_constants(self) -> int:
        """How many of a, b, c, d samples can tell apart: 2 to 4."""
        return 4 - self.scale - self.shift

    def canonical(self, a: float, b: float, low: float, high: float) -> tuple[float, float]:
        """Of all a, b that give the same family of curves the plainest.

        Args:
            a: Factor inside.
            b: Shift inside.
            low: The least x in use.
            high: The greatest.
        """
        centre, half = (low + high) / 2, (high - low) / 2
        far = abs(centre) > _FAR * half
        if self.scale:
            # 1 where x is of a size that people write, else one that keeps large powers within floating point.
            size = 1.0 if 1e-2 <= half <= 1e2 else 1 / half
            a, b = math.copysign(size, a), b * size / abs(a)
        if self.shift:
            b = -a * centre if far or (not self.scale and max(abs(a * low), abs(a * high)) > _LARGE_EXPONENT) else 0.0
        if self.flip and a < 0:
            a, b = -a, -b
        if self.half_turn and not self.shift:
            b -= math.pi * round(b / math.pi)
        return a, b


@functools.cache
def invariance_of(name: str) -> Invariance:
    """The invariance of a function of the library, found from its values."""
    function = FUNCTIONS[name].torch
    return Invariance(
        scale=_is_affine_of_itself(function, lambda t: t * 0.6),
        shift=_is_affine_of_itself(function, lambda t: t + 0.7),
        flip=_is_affine_of_itself(function, torch.neg),
        half_turn=_is_affine_of_itself(function, lambda t: t + math.pi),
        wave=_is_sine(function),
    )


def _is_sine(function: Callable[[Tensor], Tensor]) -> bool:
    """Whether f(t) and f(t + π/2) are the two coordinates of a point on a circle."""
    t = torch.linspace(-2.43, 2.51, 100, dtype=torch.float64)
    return bool((function(t).square() + function(t + math.pi / 2).square() - 1).abs().max() <= 1e-9)


def _is_affine_of_itself(function: Callable[[Tensor], Tensor], change: Callable[[Tensor], Tensor]) -> bool:
    """Whether f(change(t)) = m·f(t) + o for the same m and o at every t where both are finite."""
    t = torch.linspace(-2.43, 2.51, 100, dtype=torch.float64)
    before, after = function(t), function(change(t))
    both = torch.isfinite(before) & torch.isfinite(after)
    before, after = before[both], after[both]
    if len(before) < 10 or before.max() == before.min() or after.max() == after.min():
        return False
    centred, wanted = before - before.mean(), after - after.mean()
    factor = (centred @ wanted) / (centred @ centred)
    return bool((factor * centred - wanted).abs().max() <= 1e-9 * after.abs().max())

"""Which constants of c·f(a·x + b) + d are redundant, because c and d do the same.

Example: in c·(a·x + b)² the factor a is redundant, since c·a²·(x + b/a)² gives the same curves. In c·exp(a·x + b) the
shift b is redundant, since e^b belongs to c. Samples cannot determine a redundant constant: it is not searched for, not
counted, and set to a plain value such as 1 or 0.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.network.functions import FUNCTIONS

# If x is farther from 0 than this many half-widths, x − centre is used: c·x + d would lose digits by cancellation.
_FAR = 100.0
# exp of a larger argument is hard to read (e^20 is 5e8) and soon overflows, so the shift keeps arguments smaller.
_LARGE_EXPONENT = 20.0


@dataclass(frozen=True)
class Invariance:
    """Changes of the argument t that turn f(t) into m·f(t) + o for some m and o, and whether f is a wave.

    Attributes:
        scale: True for t -> s·t with any s > 0 (powers, log, abs).
        shift: True for t -> t + s with any s (exp, x).
        flip: True for t -> -t (even and odd functions, and functions that are odd about a point: arccos, sigmoid).
        half_turn: True for t -> t + π (sin, cos, tan).
        wave: True for a sine of any phase (sin, cos); `a` is then its frequency.
    """

    scale: bool
    shift: bool
    flip: bool
    half_turn: bool
    wave: bool

    @property
    def free_constants(self) -> int:
        """How many of a, b, c, d are not redundant: 2 to 4."""
        return 4 - self.scale - self.shift

    def canonical(self, a: float, b: float, low: float, high: float) -> tuple[float, float]:
        """The plainest a and b that give the same curves.

        Args:
            a: Factor of the argument.
            b: Shift of the argument.
            low: The smallest x of the samples.
            high: The largest x of the samples.

        Returns:
            The new a and b.
        """
        centre, half = (low + high) / 2, (high - low) / 2
        far = abs(centre) > _FAR * half
        if self.scale:
            # a = 1 for x of ordinary size; otherwise 1 / half, so that large powers of a·x stay finite.
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
    """The invariance of a function of the library, computed from its values."""
    function = FUNCTIONS[name].torch
    return Invariance(
        scale=_is_affine_of_itself(function, lambda t: t * 0.6),
        shift=_is_affine_of_itself(function, lambda t: t + 0.7),
        flip=_is_affine_of_itself(function, torch.neg),
        half_turn=_is_affine_of_itself(function, lambda t: t + math.pi),
        wave=_is_sine(function),
    )


def _is_sine(function: Callable[[Tensor], Tensor]) -> bool:
    """Whether f(t)² + f(t + π/2)² = 1 for all t, as for sin and cos."""
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

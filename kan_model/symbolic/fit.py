"""Fit the constants of c·f(a·x + b) + d to samples (x, y) of one edge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.network.functions import FUNCTIONS
from kan_model.symbolic.invariance import invariance_of
from kan_model.symbolic.polish import fit_linear, loss_of
from kan_model.symbolic.search import EdgeSamples, search

# A curve has a pole between the samples if its range there is this many times its range on the samples.
_POLE = 3.0


@dataclass(frozen=True)
class Fit:
    """The best fit c·f(a·x + b) + d of one function f.

    Attributes:
        function: Name of f.
        a: Factor of the argument.
        b: Shift of the argument.
        c: Factor of the function.
        d: Shift of the function.
        r2: 1 − squared error / variance of the samples.
    """

    function: str
    a: float
    b: float
    c: float
    d: float
    r2: float


def fit_functions(
    x: Tensor, y: Tensor, functions: Sequence[str] | None = None, *, dtype: torch.dtype = torch.float64
) -> tuple[Fit, ...]:
    """The best a, b, c and d of each function. The units of x and y do not matter.

    The search tries a grid of a and b; c and d follow by linear least squares. Finer grids around the best points come
    next, then Levenberg–Marquardt steps. A function is left out if it is not finite on all samples, if it has a pole
    between them, or if it has as many free constants as there are different x. Samples with a constant y give the
    single fit 0·x + d, whatever the functions.

    Args:
        x: ``[samples]``.
        y: ``[samples]``.
        functions: Names of the functions; None: all of the library.
        dtype: Float type in which the constants will be stored. With constants rounded to it the fit is finite on x.

    Returns:
        The fits in the order of ``functions``, with r2 in float64; empty if no function applies.

    Raises:
        ValueError: fewer than two samples; x and y of different shapes; NaN or infinite samples; unknown functions.

    Source: arXiv 2404.19756, section 2.5.1; pykan's ``fit_params``; variable projection after Kaufman (1975).
    """
    names = tuple(FUNCTIONS) if functions is None else tuple(functions)
    _check(x, y, names)
    x, y = x.detach().double().cpu(), y.detach().double().cpu()
    y_range = float(y.max() - y.min())
    if y_range <= 8 * torch.finfo(dtype).eps * float(y.abs().max()) or x.min() == x.max():
        r2 = 1.0 if y_range == 0 or x.min() != x.max() else 0.0
        return (Fit("x", 1.0, 0.0, 0.0, float(y.mean()), r2),)
    samples = EdgeSamples.of(x, y)
    different = len(set(x.tolist()))
    fits = []
    for name in names:
        invariance = invariance_of(name)
        if name == "x" or invariance.free_constants < different:
            found = search(FUNCTIONS[name].torch, invariance, samples)
            fit = None if found is None else _fit_in_units(name, *found, samples, dtype)
            if fit is not None:
                fits.append(fit)
    return tuple(fits)


def _check(x: Tensor, y: Tensor, names: Sequence[str]) -> None:
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"samples have shapes {tuple(x.shape)} and {tuple(y.shape)}; wanted [2 or more] for both")
    for name, values in (("x", x), ("y", y)):
        if not torch.isfinite(values).all():
            place = int((~torch.isfinite(values)).nonzero()[0])
            raise ValueError(f"{name} of sample {place} is {float(values[place])}; wanted finite numbers")
    unknown = [name for name in names if name not in FUNCTIONS]
    if unknown or not names:
        raise ValueError(f"functions are {list(names)}; wanted some of {', '.join(FUNCTIONS)}")


def _fit_in_units(name: str, a: float, b: float, samples: EdgeSamples, dtype: torch.dtype) -> Fit | None:
    """The fit in the units of x and y, with the plainest constants that are finite on x; None if there are none."""
    function = FUNCTIONS[name].torch
    low, high = float(samples.x[0]), float(samples.x[-1])
    a, b = invariance_of(name).canonical(a / samples.half, b - a * samples.centre / samples.half, low, high)
    largest = abs(a) * max(abs(low), abs(high))
    plain = 0.0 if abs(b) <= 1e-9 * largest else b
    # Rounding can move an argument just outside the function's domain; then slightly different constants are tried.
    eps = torch.finfo(dtype).eps
    nudge = 4 * eps * largest
    tries = ((a, plain), (a, b), (a, b + nudge), (a, b - nudge), (a * (1 - 8 * eps), b))
    for a, shift in tries:
        rounded = torch.tensor([a, shift], dtype=torch.float64).to(dtype)
        values = function(rounded[0] * samples.x.to(dtype) + rounded[1]).double()
        if torch.isfinite(values).all() and not _has_pole(function, rounded, samples, values):
            break
    else:
        return None
    values = function(a * samples.x + shift)
    _, factor = fit_linear(values, samples.y)
    c, mean = float(factor), float(values.mean())
    d = float(samples.y.mean()) - c * mean
    loss = float(loss_of(values, samples.y - samples.y.mean()))
    if not torch.isfinite(torch.tensor([c, d, a, shift], dtype=torch.float64).to(dtype)).all() or loss == torch.inf:
        return None
    d = 0.0 if abs(d) <= 1e-9 * float(samples.y.abs().max()) else d
    return Fit(name, a, shift, c, d, 1 - loss)


def _has_pole(function: Callable[[Tensor], Tensor], inside: Tensor, samples: EdgeSamples, values: Tensor) -> bool:
    x = torch.linspace(float(samples.x[0]), float(samples.x[-1]), 2001, dtype=torch.float64).to(inside)
    x = x.clamp(samples.x[0].to(inside), samples.x[-1].to(inside))
    between = function(inside[0] * x + inside[1]).double()
    if not torch.isfinite(between).all():
        return True
    return bool(between.max() - between.min() > _POLE * (values.max() - values.min()))

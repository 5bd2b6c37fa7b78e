"""The constants of c·f(a·x + b) + d that come closest to samples (x, y) of one edge."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model.functions import FUNCTIONS
from kan_model.invariance import Invariance, invariance_of

# The search runs on x scaled to [-1, 1]: a up to 10 is three periods of a sine over the data, as far as pykan looks.
_FINE, _COARSE = torch.logspace(-2, 0, 11, dtype=torch.float64), torch.arange(1.25, 10.1, 0.25, dtype=torch.float64)
_POSITIVE = torch.cat([_FINE, _COARSE])
# Beside 1 stand the shifts at which log, 1/x and sqrt have their ends just outside the data.
_BESIDE_ONE = 1 + torch.logspace(-7, -1, 13, dtype=torch.float64)
_SHIFTS = torch.cat([-_POSITIVE.flip(0), torch.zeros(1, dtype=torch.float64), _POSITIVE])
_INSIDE = torch.linspace(-1, 1, 101, dtype=torch.float64)
_DENSE_SHIFTS = torch.cat([_SHIFTS, _INSIDE, _BESIDE_ONE, -_BESIDE_ONE]).sort().values
_A_LIMITS = (1e-3, 100.0)
_SEARCH_POINTS, _POLISH_POINTS = 128, 512
_STARTS, _ZOOMS, _ZOOM = 8, 4, 1 / 3
_POLISH_STEPS, _IDLE_STEPS = 40, 6
# A curve whose range between the samples is that much wider than on them has a pole there.
_POLE = 3.0


@dataclass(frozen=True)
class Fit:
    """c·f(a·x + b) + d as close to the samples as it comes.

    Attributes:
        function: Name of f.
        a: Factor inside.
        b: Shift inside.
        c: Factor outside.
        d: Shift outside.
        r2: 1 - squared error / variance of the samples.
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
    """Each function's best a, b, c and d; the units of x and y do not matter.

    A grid of a and b, c and d by linear least squares, the best places searched again on finer grids, all four
    polished by Levenberg–Marquardt steps. A function is left out where it is not finite on all samples or goes to
    infinity between them, and where it has as many constants as there are different x. Samples that do not vary are
    met by 0·x + d, whatever the functions.

    Args:
        x: ``[samples]``.
        y: ``[samples]``.
        functions: Names; all of the library if None.
        dtype: Type that the constants will be stored in: the fit is finite on x with constants rounded to it.

    Returns:
        In the order of ``functions``, with r2 in float64; none where no function applies.

    Raises:
        ValueError: fewer than two samples, x and y of different shapes, NaN or infinite ones, unknown functions.

    Source: arXiv 2404.19756, section 2.5.1; pykan's ``fit_params``; variable projection after Kaufman (1975).
    """
    names = tuple(FUNCTIONS) if functions is None else tuple(functions)
    _check(x, y, names)
    x, y = x.detach().double().cpu(), y.detach().double().cpu()
    y_range = float(y.max() - y.min())
    if y_range <= 8 * torch.finfo(dtype).eps * float(y.abs().max()) or x.min() == x.max():
        r2 = 1.0 if y_range == 0 or x.min() != x.max() else 0.0
        return (Fit("x", 1.0, 0.0, 0.0, float(y.mean()), r2),)
    samples = _Samples.of(x, y)
    different = len(set(x.tolist()))
    fits = []
    for name in names:
        invariance = invariance_of(name)
        if name == "x" or invariance.free_constants < different:
            found = _search(FUNCTIONS[name].torch, invariance, samples)
            fit = None if found is None else _in_units(name, *found, samples, dtype)
            if fit is not None:
                fits.append(fit)
    return tuple(fits)


def _check(x: Tensor, y: Tensor, names: Sequence[str]) -> None:
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"samples have shapes {tuple(x.shape)} and {tuple(y.shape)}; wanted twice [2 or more]")
    for name, values in (("x", x), ("y", y)):
        if not torch.isfinite(values).all():
            place = int((~torch.isfinite(values)).nonzero()[0])
            raise ValueError(f"{name} of sample {place} is {float(values[place])}; wanted finite numbers")
    unknown = [name for name in names if name not in FUNCTIONS]
    if unknown or not names:
        raise ValueError(f"functions are {list(names)}; wanted some of {', '.join(FUNCTIONS)}")


@dataclass(frozen=True)
class _Samples:
    """Samples in order of x: as they came, and x scaled to [-1, 1] beside y with mean 0 and deviation 1."""

    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor
    centre: float
    half: float

    @classmethod
    def of(cls, x: Tensor, y: Tensor) -> "_Samples":
        order = torch.argsort(x, stable=True)
        x, y = x[order], y[order]
        centre, half = float(x[0] + x[-1]) / 2, float(x[-1] - x[0]) / 2
        v = y - y.mean()
        return cls(x, y, (x - centre) / half, v / v.square().mean().sqrt(), centre, half)

    def some(self, count: int) -> tuple[Tensor, Tensor]:
        """Scaled x and y of that many samples at most, both ends among them."""
        if len(self.u) <= count:
            return self.u, self.v
        places = torch.linspace(0, len(self.u) - 1, count, dtype=torch.float64).round().long()
        return self.u[places], self.v[places]


def _search(
    function: Callable[[Tensor], Tensor], invariance: Invariance, samples: _Samples
) -> tuple[float, float] | None:
    """The best a and b for scaled samples."""
    u, v = samples.some(_SEARCH_POINTS)
    a, b, spacing = _starts(function, invariance, u, v)
    if not len(a):
        return None
    # In one dimension finer grids on more samples cost little, and find the step of sgn, which has no slope to follow.
    if invariance.scale or invariance.shift:
        u, v = samples.some(_POLISH_POINTS)
    a, b = _zoom(function, u, v, a, b, spacing)
    moves = torch.tensor([not invariance.scale, not invariance.shift], dtype=torch.float64)
    a, b = _polish(function, *samples.some(_POLISH_POINTS), a, b, moves)
    loss = _loss(function(a.unsqueeze(1) * samples.u + b.unsqueeze(1)), samples.v)
    best = int(loss.argmin())
    return (float(a[best]), float(b[best])) if torch.isfinite(loss[best]) else None


def _starts(
    function: Callable[[Tensor], Tensor], invariance: Invariance, u: Tensor, v: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The lowest valleys of the loss: a and b, ``[starts]`` each, and the grid's spacing there, ``[2, starts]``."""
    positive = torch.ones(1, dtype=torch.float64) if invariance.scale else _POSITIVE
    factors = positive if invariance.flip else torch.cat([-positive.flip(0), positive])
    shifts = _DENSE_SHIFTS if invariance.scale else _SHIFTS
    if invariance.shift:
        shifts = torch.zeros(1, dtype=torch.float64)
    elif invariance.half_turn:
        shifts = torch.linspace(-torch.pi / 2, torch.pi / 2, 25, dtype=torch.float64)
    loss = torch.stack([_loss(function(a * u + shifts.unsqueeze(1)), v) for a in factors])
    padded = torch.nn.functional.pad(loss, (1, 1, 1, 1), value=torch.inf)
    around = torch.stack([padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]])
    valley = torch.isfinite(loss) & (loss <= around.amin(dim=0))
    order = torch.where(valley, loss, torch.inf).flatten().argsort(stable=True)[: min(_STARTS, int(valley.sum()))]
    row, column = order // len(shifts), order % len(shifts)
    spacing = torch.stack([_spacing(factors)[row] * (not invariance.scale), _spacing(shifts)[column]])
    return factors[row], shifts[column], spacing


def _zoom(
    function: Callable[[Tensor], Tensor], u: Tensor, v: Tensor, a: Tensor, b: Tensor, spacing: Tensor
) -> tuple[Tensor, Tensor]:
    """The best places on finer and finer grids around each start."""
    one_way, both_ways = (torch.linspace(-1, 1, count, dtype=torch.float64) for count in (49, 7))
    offsets = torch.cartesian_prod(both_ways, both_ways) if spacing.all() else torch.stack([one_way, one_way], dim=1)
    for _ in range(_ZOOMS):
        a_near = a.unsqueeze(1) + spacing[0].unsqueeze(1) * offsets[:, 0]
        b_near = b.unsqueeze(1) + spacing[1].unsqueeze(1) * offsets[:, 1]
        best = _loss(function(a_near.unsqueeze(2) * u + b_near.unsqueeze(2)), v).argmin(dim=1, keepdim=True)
        a, b = a_near.gather(1, best).squeeze(1), b_near.gather(1, best).squeeze(1)
        spacing = spacing * _ZOOM
    return a, b


def _spacing(grid: Tensor) -> Tensor:
    """The distance of each number of a grid to its further neighbour."""
    if len(grid) == 1:
        return torch.zeros_like(grid)
    steps = grid.diff()
    return torch.maximum(torch.cat([steps[:1], steps]), torch.cat([steps, steps[-1:]]))


def _loss(values: Tensor, v: Tensor) -> Tensor:
    """1 - R² of the best c·values + d: ``[…]`` for values ``[…, samples]``; infinite where nothing can be said."""
    centred, factor = _linear(values, v)
    loss = (v - factor.unsqueeze(-1) * centred).square().mean(dim=-1) / v.square().mean()
    return torch.where(torch.isfinite(loss), loss, torch.inf)


def _linear(values: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Values without their mean, and the c that brings them closest to v; NaN where they do not vary."""
    v = v - v.mean()
    mean = values.mean(dim=-1, keepdim=True)
    centred = values - mean
    square = centred.square().sum(dim=-1)
    # Values that differ by rounding alone fit nothing.
    varies = square > (1e-10 * values.abs().amax(dim=-1)).square() * len(v)
    return centred, torch.where(varies, (centred * v).sum(dim=-1) / square, torch.nan)


def _polish(
    function: Callable[[Tensor], Tensor], u: Tensor, v: Tensor, a: Tensor, b: Tensor, moves: Tensor
) -> tuple[Tensor, Tensor]:
    """Levenberg–Marquardt on a and b, c and d being solved for at every step; never worse than the start."""
    v = v - v.mean()
    inside = torch.stack([u, torch.ones_like(u)], dim=1) * moves
    damping, idle = torch.full_like(a, 1e-3), 0
    loss = _loss(function(a.unsqueeze(1) * u + b.unsqueeze(1)), v)
    for _ in range(_POLISH_STEPS):
        t = (a.unsqueeze(1) * u + b.unsqueeze(1)).requires_grad_()
        with torch.enable_grad():
            values = function(t)
            (slope,) = torch.autograd.grad(values.sum(), t)
        centred, factor = _linear(values.detach(), v)
        # At the end of sqrt or arcsin the slope is infinite: that sample has no say in the direction.
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
        new_loss = _loss(function(new_a.unsqueeze(1) * u + new_b.unsqueeze(1)), v)
        gain = (loss - new_loss) > 1e-9 * loss
        better = (new_loss < loss) & (new_a.abs() >= _A_LIMITS[0]) & (new_a.abs() <= _A_LIMITS[1])
        a, b, loss = torch.where(better, new_a, a), torch.where(better, new_b, b), torch.where(better, new_loss, loss)
        damping = (damping * torch.where(better, 0.2, 5.0)).clamp(1e-12, 1e12)
        idle = 0 if gain.any() else idle + 1
        if idle == _IDLE_STEPS:
            break
    return a, b


def _in_units(name: str, a: float, b: float, samples: _Samples, dtype: torch.dtype) -> Fit | None:
    """The fit for x and y as they came, with its plainest constants that are finite on them; None if there are none."""
    function = FUNCTIONS[name].torch
    low, high = float(samples.x[0]), float(samples.x[-1])
    a, b = invariance_of(name).canonical(a / samples.half, b - a * samples.centre / samples.half, low, high)
    largest = abs(a) * max(abs(low), abs(high))
    plain = 0.0 if abs(b) <= 1e-9 * largest else b
    # Rounded, an argument may be just outside the function's domain.
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
    _, factor = _linear(values, samples.y)
    c, mean = float(factor), float(values.mean())
    d = float(samples.y.mean()) - c * mean
    loss = float(_loss(values, samples.y - samples.y.mean()))
    if not torch.isfinite(torch.tensor([c, d, a, shift], dtype=torch.float64).to(dtype)).all() or loss == torch.inf:
        return None
    d = 0.0 if abs(d) <= 1e-9 * float(samples.y.abs().max()) else d
    return Fit(name, a, shift, c, d, 1 - loss)


def _has_pole(function: Callable[[Tensor], Tensor], inside: Tensor, samples: _Samples, values: Tensor) -> bool:
    x = torch.linspace(float(samples.x[0]), float(samples.x[-1]), 2001, dtype=torch.float64).to(inside)
    x = x.clamp(samples.x[0].to(inside), samples.x[-1].to(inside))
    between = function(inside[0] * x + inside[1]).double()
    if not torch.isfinite(between).all():
        return True
    return bool(between.max() - between.min() > _POLE * (values.max() - values.min()))

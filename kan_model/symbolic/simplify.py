"""Constants of a formula that the rows cannot tell from 0, 1 or -1 become these; the others are fitted again.

Noise leaves a constant beside its true value: 1.03·(x + 0.004)² + 0.0002 for x². Each constant in turn is held at a
plain value, and the others are fitted to the rows again. The plain value stays if the rows do not speak against it.
First the edges of a sum that add nothing go, then shifts, then factors; of each kind the constant with the fewest
standard errors from 0 comes first.

With n rows and the sum S of squared errors, n·log S may grow by log n for each constant that is held: this is the
Bayesian information criterion (Schwarz 1978). Example: a constant that is truly 0 makes n·log S grow by about 1; one
whose fitted value is 4 standard errors from 0 by about 16. With 400 rows 6 is allowed.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.network.network import KAN
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.rows.jacobian import parameter_columns
from kan_model.symbolic.derivatives import FormulaFunction
from kan_model.symbolic.invariance import invariance_of
from kan_model.symbolic.redundant import remove_idle, remove_redundant

Vector = NDArray[np.float64]
Flags = NDArray[np.bool_]

_STEPS, _FEWER_STEPS = 60, 15
# A table is read, and a formula is served, in float32: errors below this share of the targets are rounding, and equally
# good. Without it, constants of 1e-8 would stand in the formula of rows without noise.
_EXACT = float(torch.finfo(torch.float32).eps)
# The singular values of scaled derivatives below this are those of constants that do the work of others.
_DEPENDENT = 1e-9
# An edge with a c so many standard errors from 0 adds something; no fit without it is tried.
_CERTAIN = 20.0
# Half numbers are plain only where so many standard errors lie between two of them: closer ones, as 10.5 and 11 beside
# 10.7 ± 0.4, would make any constant plain.
_APART = 20.0
# A step is tried with this many dampings, each 4 times the one before.
_TRIES = 8
# A fit ends when a step lowers the sum of squares by a smaller share.
_GAIN = 1e-9


@dataclass(frozen=True)
class Simplified:
    """A network of formulas with plainer constants.

    Attributes:
        kan: The network, in its own type.
        free_constants: How many constants are neither redundant nor held at a plain value.
        criterion: n·log(mean squared error / variance of the targets) + free constants·log n; lower is better.
    """

    kan: KAN
    free_constants: int
    criterion: float


def simplify_constants(
    kan: KAN, rows: Tensor, targets: Tensor, *, hold: bool = True, check: Callable[[], None] = lambda: None
) -> Simplified | None:
    """Fit the constants of a network without splines, and hold those at plain values that the rows allow.

    Args:
        kan: The network; all its edges are symbolic. It is not changed.
        rows: ``[rows, inputs]``, imputed and scaled.
        targets: ``[rows, outputs]``, in the units of the network's outputs.
        hold: Whether constants may be held at plain values; else all are only fitted.
        check: Called before each constant; it may raise to end the work.

    Returns:
        The network, or None if it has no finite answer to some row.
    """
    problem = _Problem(remove_redundant(kan, rows) if hold else kan, rows, targets)
    free = problem.free
    place, error = problem.fit(problem.start, free, _STEPS if hold else _FEWER_STEPS)
    if not error < math.inf:
        return None
    allowed = math.log(problem.count)
    changed = hold
    while changed:
        changed = False
        for index, values in problem.plain_values(place, free):
            if not free[index]:
                continue
            check()
            for value in values:
                if value == 0 and problem.is_last_edge(index, place):
                    continue
                tried, fewer = place.copy(), free.copy()
                tried[index] = value
                fewer[problem.held_with(index, value)] = False
                tried, after = problem.fit(tried, fewer, _FEWER_STEPS)
                if problem.deviance(after) - problem.deviance(error) <= allowed:
                    place, error, free, changed = tried, after, fewer, True
                    break
    if hold:
        place, error = problem.fit(place, free, _STEPS)
    count = int(free.sum())
    return Simplified(problem.network(place), count, problem.deviance(error) + count * allowed)


class _Problem:
    """Least squares in the constants of a network, one after another as its parameters are.

    Args:
        kan: The network.
        rows: ``[rows, inputs]``.
        targets: ``[rows, outputs]``.

    Attributes:
        start: ``[constants]``.
        free: False for constants that others make redundant.
        count: Numbers in the targets.
    """

    def __init__(self, kan: KAN, rows: Tensor, targets: Tensor) -> None:
        self._given, y = kan, targets.detach().double()
        spread = float((y - y.mean(dim=0)).square().mean().sqrt())
        self._y, self._scale = y, spread or 1.0
        size = float(y.square().mean().sqrt())
        self._exact = (_EXACT * max(size / self._scale, 1.0)) ** 2
        parts = {
            name: part.detach().double()
            for name, part in kan.named_parameters()
            if name.endswith(("symbolic_affine", "bias"))
        }
        self._columns = parameter_columns(parts)
        self._function = FormulaFunction(kan, rows.detach().double(), self._columns)
        self.count = y.numel()
        self.start = np.concatenate([part.numpy().ravel() for part in parts.values()])
        self._kinds, free = "", []
        sums: list[int] = []  # Of each c the sum that its edge feeds; of the others none.
        for name in parts:
            layer = kan.layers[int(name.split(".")[1])]
            if name.endswith("bias"):
                self._kinds += "d" * layer.sums
                sums += [-1] * layer.sums
                free += [True] * layer.sums
                continue
            self._kinds += "abcd" * len(layer.symbolic_functions)
            for function, (output, _) in zip(layer.symbolic_functions, layer.symbolic_places, strict=True):
                sums += [-1, -1, int(name.split(".")[1]) << 32 | output, -1]
                invariance = invariance_of(function)
                free += [not invariance.scale, not invariance.shift, True, True]
        self.free: Flags = np.array(free)
        self._sums = np.array(sums)

    def plain_values(self, place: Vector, free: Flags) -> Iterator[tuple[int, tuple[float, ...]]]:
        """The free constants, each with the values to try: whole edges first, then shifts, then factors."""
        significance = self._significance(place, free)
        order = np.argsort(significance, kind="stable").tolist()
        for index in order:
            if free[index] and self._kinds[index] == "c" and significance[index] < _CERTAIN:
                yield index, (0.0,)
        for kind in "dbac":
            for index in order:
                if free[index] and self._kinds[index] == kind:
                    one = math.copysign(1.0, place[index])
                    is_told = significance[index] >= 2 * _APART * abs(place[index])
                    half = (round(2 * place[index]) / 2 or one) if is_told else one
                    yield index, (0.0,) if kind in "bd" else tuple(dict.fromkeys((one, half)))

    def is_last_edge(self, index: int, place: Vector) -> bool:
        """Whether this is c of the only edge that feeds a sum: a network keeps a path from its inputs."""
        own = self._sums == self._sums[index]
        own[index] = False
        return self._kinds[index] == "c" and not place[own].any()

    def held_with(self, index: int, value: float) -> slice:
        """The constants that are held where this one is held at a value: with c = 0 also a and b of the edge."""
        return slice(index - 2, index + 1) if self._kinds[index] == "c" and value == 0 else slice(index, index + 1)

    def deviance(self, error: float) -> float:
        """n·log of a mean squared error; errors of rounding are equally small."""
        return self.count * math.log(max(error, self._exact))

    def fit(self, place: Vector, free: Flags, steps: int) -> tuple[Vector, float]:
        """Levenberg–Marquardt steps along the free constants: the best place, and its mean squared error there."""
        error, damping = self._error(place), 1e-3
        for _ in range(steps):
            if not math.isfinite(error) or error <= self._exact / 1e4 or not free.any():
                break
            residuals, jacobian = self._derivatives(place, free)
            if not np.isfinite(jacobian).all():
                break
            scale = np.sqrt((jacobian**2).sum(axis=0)) + 1e-300
            left, values, right = np.linalg.svd(jacobian / scale, full_matrices=False)
            along = left.T @ residuals
            before = error
            for _ in range(_TRIES):
                tried = place.copy()
                tried[free] -= (right.T @ (values / (values**2 + damping) * along)) / scale
                after = self._error(tried)
                if after < error:
                    place, error, damping = tried, after, max(damping / 10, 1e-14)
                    break
                damping *= 4
            if error > before * (1 - _GAIN):
                break
        return place, error

    def network(self, place: Vector) -> KAN:
        """The network with these constants, in its own type."""
        layers = []
        for index, layer in enumerate(self._given.layers):
            found = {
                name.rpartition(".")[2]: place[self._columns[name]]
                for name in self._columns
                if name.startswith(f"layers.{index}.")
            }
            parts = {"bias": torch.from_numpy(found["bias"]).to(layer.base_weight)} if "bias" in found else {}
            if "symbolic_affine" in found:
                edges = zip(layer.symbolic_places, layer.symbolic_functions, strict=True)
                numbers = found["symbolic_affine"].reshape(-1, 4).tolist()
                parts["symbolic"] = [  # type: ignore[assignment]
                    SymbolicEdge(*where, function, *four)
                    for (where, function), four in zip(edges, numbers, strict=True)
                ]
            layers.append(layer.changed(**parts))
        return remove_idle(self._given.with_layers(layers))

    def _significance(self, place: Vector, free: Flags) -> Vector:
        """How many standard errors each free constant is from 0; next to 0 where others do its work."""
        found = np.zeros(len(place))
        residuals, jacobian = self._derivatives(place, free)
        if not free.any() or not np.isfinite(jacobian).all():
            return found
        scale = np.sqrt((jacobian**2).sum(axis=0)) + 1e-300
        _, values, right = np.linalg.svd(jacobian / scale, full_matrices=False)
        spread = math.sqrt(max(float((residuals**2).mean()), self._exact))
        errors = spread * np.linalg.norm(right.T / np.maximum(values, _DEPENDENT), axis=1) / scale
        found[free] = np.abs(place[free]) / errors
        return found

    def _error(self, place: Vector) -> float:
        answers = self._function.answers(torch.from_numpy(place))
        error = float((((answers - self._y) / self._scale) ** 2).mean())
        return error if error < math.inf else math.inf

    def _derivatives(self, place: Vector, free: Flags) -> tuple[Vector, Vector]:
        """Residuals ``[numbers]``, and their derivatives by the free constants ``[numbers, free]``."""
        answers, found = self._function.derivatives(torch.from_numpy(place))
        residuals = ((answers - self._y) / self._scale).numpy().ravel()
        return residuals, found.numpy().reshape(-1, len(place))[:, free] / self._scale

"""Choose the λs: Newton's method on their logarithms."""

from typing import Protocol

import numpy as np

from training.additive.criterion import Chosen, Score, Vector
from training.additive.sums import Sums

# Logarithms of λ relative to the sizes of the sums over the rows. At the ends a curve is free, or straight.
LOWEST, HIGHEST = -18.0, 18.0
STEPS, _HALVINGS = 40, 12
# No λ changes by more than this factor's logarithm in a step.
_LONGEST = 4.0
_TOLERANCE = 1e-6


class Scored(Protocol):
    """How good a choice of the λs is."""

    @property
    def sums(self) -> Sums:
        """Over the rows."""

    @property
    def kind(self) -> Score:
        """Whether the variance of the noise is unknown ("gcv") or 1 ("ubre")."""

    def at(self, log_strengths: Vector) -> Chosen | None:
        """The fit with these log λs and its score, the less the better; None if there is none."""


def choose_strengths(criterion: Scored, start: Vector, steps: int = STEPS) -> tuple[Vector, Chosen]:
    """The log λs of a minimum of the score, and the fit with them.

    A direction in which the score does not bend upwards is followed downhill. A λ at the end of its range stays there
    while the score falls towards that end.

    Args:
        criterion: The score.
        start: ``[penalties]``, where to begin. If these leave too many degrees of freedom, larger ones are taken.
        steps: The most steps.

    Raises:
        ArithmeticError: no λ gives a finite fit.

    Source: Wood, Stable and efficient multiple smoothing parameter estimation for generalized additive models (2004).
    """
    place = np.clip(start, LOWEST, HIGHEST)
    while (current := criterion.at(place)) is None:
        if len(place) == 0 or (place >= HIGHEST).all():
            raise ArithmeticError("no penalty gives a finite fit")
        place = np.minimum(place + _LONGEST, HIGHEST)
    for _ in range(steps if len(place) else 0):
        free = ~(((place <= LOWEST) & (current.gradient > 0)) | ((place >= HIGHEST) & (current.gradient < 0)))
        scale = abs(current.score) if criterion.kind == "ubre" else 1.0
        if not free.any() or np.abs(current.gradient[free]).max() <= _TOLERANCE * scale:
            break
        step = np.zeros_like(place)
        step[free] = _direction(current.gradient[free], current.hessian[np.ix_(free, free)])
        found = _walk(criterion, place, step, current)
        if found is None:
            break
        place, better = found
        is_done = current.score - better.score <= _TOLERANCE * scale
        current = better
        if is_done:
            break
    return place, current


def _direction(gradient: Vector, hessian: Vector) -> Vector:
    values, vectors = np.linalg.eigh(hessian)
    size = np.abs(values)
    size = np.maximum(size, 1e-4 * max(size.max(), 1e-300))
    step: Vector = -(vectors @ ((vectors.T @ gradient) / size))
    return np.clip(step, -_LONGEST, _LONGEST)


def _walk(criterion: Scored, place: Vector, step: Vector, before: Chosen) -> tuple[Vector, Chosen] | None:
    """The first of ever shorter steps that lowers the score; None: none does."""
    for _ in range(_HALVINGS):
        tried = np.clip(place + step, LOWEST, HIGHEST)
        found = criterion.at(tried)
        if found is not None and found.score < before.score:
            return tried, found
        step = step / 2
    return None

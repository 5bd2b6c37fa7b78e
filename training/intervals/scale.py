"""The learned scale of errors: how large an error is usual for a row, as one curve for each input of the network.

log σ(x) = b + Σ_i f_i(x_i), fitted to the absolute errors by a gamma regression with a log link. The curves f_i are
splines on the knots of the network's first layer, whose functions the graph has computed already: a scale costs the
graph a few operators. Each curve has the lowest cosines over the coefficients alone, the smoothest shapes of a spline,
and a ridge penalty that grows with the square of their frequency. An input of two values has a line.

The penalty, an infinite one included, is chosen by cross-validation; then a scale is kept only where the bounds are
narrower with it. Both choices are part of the fit: the scale of a row's score comes from a fit, with its choices, to
the other folds. So no row has a say in the scale that its own score is divided by.

Source: the first-difference penalty of Eilers and Marx, Flexible smoothing with B-splines and penalties (1996), whose
eigenvectors are these cosines; Fisher scoring of McCullagh and Nelder, Generalized linear models (1989).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from kan_model import KANLayer
from training.calibration.ranks import conformal_quantile, fewest_rows
from training.data.encoding import Numbers
from training.data.split import RowNumbers

Flags = NDArray[np.bool_]
# Fewer errors tell less than a constant does.
FEWEST_ROWS = 100
# Of the folds that are not a row's own, some choose and others are fitted.
FEWEST_FOLDS = 3
# More rows would change the curves little.
_MOST_ROWS = 10_000
_BLOCK_ROWS = 4096
_COSINES = 4
_PENALTIES = (1.0, 0.1, 0.01, 0.001)
_STEPS = 8
# Errors beyond this quantile count as much as it: the curves shall follow usual errors.
_USUAL = 0.98
# The bounds must be narrower by this share, or a constant is enough.
_WORTH = 0.01
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Curves:
    """log σ = intercept + features · weights; of no features: a constant."""

    intercept: float
    weights: Numbers

    def log_scale(self, features: Numbers) -> Numbers:
        """``[rows]`` for features ``[rows, features]``."""
        return self.intercept + features @ self.weights


@dataclass(frozen=True)
class Design:
    """What the curves are made of.

    Attributes:
        first: The first layer of the network, under the policy ``clamp``.
        shapes: For each input the coefficients of its features, ``[functions, features of the input]``.
        strength: ``[features]``, the penalty of each relative to the others.
    """

    first: KANLayer
    shapes: tuple[Numbers, ...]
    strength: Numbers

    @classmethod
    def of(cls, first: KANLayer, x: torch.Tensor) -> "Design":
        """Curves for the inputs that the network reads and that vary in the rows ``[rows, inputs]``."""
        # Beyond the domain the scale stays as at its end: there errors are not smaller. Under "decay" it would shrink.
        first = first if first.outside == "clamp" else first.changed(outside="clamp")
        reads = first.active_edges.any(dim=0).numpy()
        low, high = x.amin(dim=0), x.amax(dim=0)
        has_two = ((x == low) | (x == high)).all(dim=0).numpy()
        varies = (low < high).numpy()
        lines = _abscissae(first)
        count = first.coefficients.shape[2]
        waves = np.arange(1, min(_COSINES, count - 1) + 1)
        cosines = np.cos(np.pi * np.outer(np.arange(count) + 0.5, waves) / count)
        shapes, strength = [], []
        for place in range(first.inputs):
            is_read = reads[place] and varies[place]
            shape = np.zeros((count, 0)) if not is_read else lines[place][:, None] if has_two[place] else cosines
            shapes.append(shape)
            strength.append(waves[: shape.shape[1]] ** 2.0)
        return cls(first, tuple(shapes), np.concatenate(strength))

    def features(self, x: torch.Tensor) -> Numbers:
        """``[rows, features]`` for the inputs ``[rows, inputs]`` of the network."""
        blocks = [x[start : start + _BLOCK_ROWS] for start in range(0, len(x), _BLOCK_ROWS)]
        return np.concatenate([self._features_of(block) for block in blocks])

    def _features_of(self, x: torch.Tensor) -> Numbers:
        with torch.no_grad():
            functions = self.first.basis(x.to(self.first.coefficients)).double().numpy()
        return np.concatenate([functions[:, place] @ shape for place, shape in enumerate(self.shapes)], axis=1)

    def layer(self, curves: Sequence[Curves]) -> KANLayer:
        """The layer from the inputs to the log σ of each output."""
        ends = np.cumsum([0, *(shape.shape[1] for shape in self.shapes)])
        coefficients = np.stack(
            [
                [shape @ one.weights[ends[place] : ends[place + 1]] for place, shape in enumerate(self.shapes)]
                for one in curves
            ]
        )
        like = self.first.coefficients.detach()
        return self.first.changed(
            base_weight=like.new_zeros(len(curves), self.first.inputs),
            coefficients=torch.from_numpy(coefficients).to(like),
            edge_mask=self.first.active_edges.any(dim=0).to(like).expand(len(curves), -1).clone(),
            symbolic=(),
            bias=torch.tensor([one.intercept for one in curves]).to(like),
            products=None,
        )


@dataclass(frozen=True)
class FittedScale:
    """A scale, and the scales by which the rows are scored.

    Attributes:
        curves: For each output; fitted to all rows.
        log_scales: ``[rows, outputs]``, each row's by a fit to the other folds.
        is_constant: Whether the curves of all outputs are constants.
    """

    curves: tuple[Curves, ...]
    log_scales: Numbers
    is_constant: bool


def fit_scale(features: Numbers, errors: Numbers, folds: RowNumbers, strength: Numbers, coverage: float) -> FittedScale:
    """Fit the scale of each output, and the scales of the rows' own scores.

    Args:
        features: ``[rows, features]``.
        errors: ``[rows, outputs]``, 0 or more.
        folds: ``[rows]``, from 0; three or more.
        strength: ``[features]``.
        coverage: Of the bounds that shall be narrow.
    """
    each = [_Fits(features, error, folds, strength, coverage) for error in errors.T]
    every = range(int(folds.max()) + 1)
    curves = tuple(fits.choose(frozenset(every)) for fits in each)
    log_scales = np.empty_like(errors)
    for output, fits in enumerate(each):
        for fold in every:
            own = folds == fold
            log_scales[own, output] = fits.choose(frozenset(every) - {fold}).log_scale(features[own])
    return FittedScale(curves, log_scales, all(not one.weights.any() for one in curves))


class _Fits:
    """Fits to some folds; each set of folds is fitted once for each penalty."""

    def __init__(
        self, features: Numbers, errors: Numbers, folds: RowNumbers, strength: Numbers, coverage: float
    ) -> None:
        self._features, self._folds, self._coverage = features, folds, coverage
        self._errors = np.maximum(errors, _SMALLEST * max(errors.max(), _SMALLEST))
        self._strength = strength
        # A rank that the rows lack has no width, so nothing tells whether curves are narrower. What all rows chose and
        # what fewer rows chose shall be of one kind: then no set of folds has curves.
        self._has_widths = len(folds) - np.bincount(folds).max() >= fewest_rows(coverage)
        # The curves are fitted to every n-th row; all rows are scored.
        self._is_fitted = np.arange(len(folds)) % -(-len(folds) // _MOST_ROWS) == 0
        self._known: dict[frozenset[int], dict[float, Curves]] = {}

    def choose(self, folds: frozenset[int]) -> Curves:
        """The curves for these folds, or the constant where curves are not worth it."""
        out = {fold: self._fit(folds - {fold}) for fold in sorted(folds)}
        parts = [self._folds == fold for fold in sorted(folds)]
        errors = np.concatenate([self._errors[part] for part in parts])
        # The penalty by the deviance of the folds that were left out, up to a constant of the errors.
        scales = {
            penalty: np.concatenate(
                [out[fold][penalty].log_scale(self._features[self._folds == fold]) for fold in sorted(folds)]
            )
            for penalty in (np.inf, *_PENALTIES)
        }
        best = min(scales, key=lambda penalty: float((scales[penalty] + errors * np.exp(-scales[penalty])).mean()))
        widths = {penalty: self._width(errors, scales[penalty]) for penalty in (np.inf, best)}
        is_worth = self._has_widths and widths[best] <= (1 - _WORTH) * widths[np.inf]
        return self._fit(folds)[best if is_worth else np.inf]

    def _width(self, errors: Numbers, log_scales: Numbers) -> float:
        scales = np.exp(log_scales)
        return float(conformal_quantile((errors / scales)[:, None], self._coverage)[0] * scales.mean())

    def _fit(self, folds: frozenset[int]) -> dict[float, Curves]:
        """The curves for each penalty."""
        if folds not in self._known:
            rows = np.isin(self._folds, sorted(folds))
            constant = Curves(float(np.log(self._errors[rows].mean())), np.zeros(self._features.shape[1]))
            rows &= self._is_fitted
            self._known[folds] = {np.inf: constant} | _fit_curves(
                self._features[rows], self._errors[rows], self._strength, constant
            )
        return self._known[folds]


def _fit_curves(features: Numbers, errors: Numbers, strength: Numbers, constant: Curves) -> dict[float, Curves]:
    """Fisher scoring for each penalty, the strongest first; each begins where the one before ended."""
    usual = np.minimum(errors, np.quantile(errors, _USUAL))
    mean, rows = features.mean(axis=0), len(errors)
    centred = features - mean
    products = centred.T @ centred
    found: dict[float, Curves] = {}
    weights, level = np.zeros(features.shape[1]), constant.intercept
    for penalty in _PENALTIES:
        solve = np.linalg.inv(products + penalty * rows * np.diag(strength))
        for _ in range(_STEPS):
            log_scale = level + centred @ weights
            # The working response; a step of more than e is taken in parts.
            working = log_scale + np.clip(usual * np.exp(-log_scale) - 1, -1, 2)
            level, weights = float(working.mean()), solve @ (centred.T @ working)
        # The level of all errors, so that scores have a mean of 1 whatever the penalty is.
        shift = float(np.log((errors * np.exp(-centred @ weights)).mean()))
        found[penalty] = Curves(shift - float(mean @ weights), weights)
    return found


def _abscissae(layer: KANLayer) -> Numbers:
    """The coefficients of x itself, ``[inputs, functions]``: the means of ``degree`` neighbouring knots."""
    knots = layer.all_knots().detach().double()
    found: Numbers = knots[:, 1:-1].unfold(1, layer.degree, 1).mean(dim=-1).numpy()
    return found

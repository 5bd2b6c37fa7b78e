"""Breaks of a spline that follow the data of a feature.

Breaks are the ends of the intervals: the knots inside the domain and at its ends, without those beyond it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.network.layer import KANLayer

Vector = NDArray[np.float64]

# The smallest interval: this share of an even interval, and at least this many spacings of the network's float type.
_NARROWEST = 0.01
_NARROWEST_STEPS = 64
_SMALLEST = 1e-30
# An outlier lies farther from the middle 98 % of the values than this many times their width.
_REACH = 3.0


def layer_breaks(
    old: KANLayer, x: Tensor, size: int, uniform_share: float, margin: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The old breaks of a layer's inputs, and breaks that follow the data.

    Args:
        old: The layer in float64.
        x: ``[rows, inputs]``, the layer's inputs.
        size: Number of intervals of the new grid.
        uniform_share: As :func:`feature_breaks`.
        margin: As :func:`feature_breaks`.
        dtype: Float type of the new layer.

    Returns:
        The old breaks, resampled to ``size`` intervals, and the new ones; both ``[inputs, size + 1]``.
    """
    inner = old.all_knots()[:, old.degree : -old.degree].cpu().numpy()
    places, old_places = np.linspace(0, 1, size + 1), np.linspace(0, 1, inner.shape[1])
    before = np.stack([np.interp(places, old_places, row) for row in inner])
    step = _NARROWEST_STEPS * torch.finfo(dtype).eps
    columns = zip(x.cpu().numpy().T, before, strict=True)
    after = np.stack([feature_breaks(values, row, uniform_share, margin, step) for values, row in columns])
    return torch.from_numpy(before).to(x), torch.from_numpy(after).to(x)


def feature_breaks(values: Vector, old: Vector, uniform_share: float, margin: float, step: float) -> Vector:
    """Breaks that follow the values of one feature: quantiles of a mixture of the values and a uniform distribution.

    Args:
        values: ``[rows]``, finite.
        old: ``[size + 1]``, the old breaks; kept if the values do not vary.
        uniform_share: Weight of the uniform distribution, 0 to 1.
        margin: How far the domain extends beyond the values at each end, as a share of their width.
        step: The smallest relative distance of two breaks that the network's float type keeps apart.

    Returns:
        ``[size + 1]``, strictly increasing.
    """
    size = len(old) - 1
    low, high = np.quantile(values, [0.01, 0.99])
    far = (values < low - _REACH * (high - low)) | (values > high + _REACH * (high - low))
    near = values[~far]
    values = np.clip(values, min(old[0], near.min()), max(old[-1], near.max()))
    low, high = values.min(), values.max()
    narrowest = step * max(abs(low), abs(high), _SMALLEST)
    if high - low <= size * narrowest:
        if old[0] <= low and high <= old[-1]:
            return old
        half = max(old[-1] - old[0], 2 * size * narrowest) / 2
        return np.linspace((low + high) / 2 - half, (low + high) / 2 + half, size + 1)
    distinct, counts = np.unique(values, return_counts=True)
    ranks = np.cumsum(counts) - counts / 2
    # Without the limit of 1 / size a frequent value would put many knots into the empty gap beside it.
    shares = np.cumsum(np.minimum(np.diff(ranks, prepend=ranks[0]) / len(values), 1 / size))
    places = np.concatenate([[low - margin * (high - low)], distinct, [high + margin * (high - low)]])
    even = (places - places[0]) / (places[-1] - places[0])
    mixture = (1 - uniform_share) * np.concatenate([[0], shares / shares[-1], [1]]) + uniform_share * even
    breaks = np.interp(np.linspace(0, 1, size + 1), mixture, places)
    breaks[0], breaks[-1] = places[0], places[-1]
    floor = max(_NARROWEST, size * narrowest / (places[-1] - places[0]))
    result: Vector = (1 - floor) * breaks + floor * np.linspace(places[0], places[-1], size + 1)
    return result

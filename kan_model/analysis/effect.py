"""The response of a network to one input or one column, in raw units of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from kan_model.network.network import KAN, on_cpu
from kan_model.network.transform import InputTransform, OutputTransform, count_features
from kan_model.rows.blocks import answers

Values = NDArray[np.float64]

_MOST_BINS = 20
# Several points are answered at once, so that few rows do not cost a forward pass each.
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Effect:
    """The answers where one column takes given values and all else stays as it is in the rows.

    Attributes:
        values: ``[points, features]``, raw: what the features of the column were set to, one point after the other.
        mean: ``[points, outputs]``, the mean answer over all rows (partial dependence). Rows without a finite answer at
            a point are left out there; NaN if none has one.
        single: ``[lines, points, outputs]``, the answers of single rows (individual conditional expectation).
        rows: int64 ``[lines]``, the places of these rows.
        edges, counts: The histogram of the column in the rows, ``[bins + 1]`` and int64 ``[bins]``, if it is one
            feature; where counts are 0 the network answers without data.
            Of several features ``edges`` is empty and ``counts`` ``[points]``: the rows that hold these values.
    """

    values: Values
    mean: Values
    single: Values
    rows: NDArray[np.int64]
    edges: Values
    counts: NDArray[np.int64]


def effect(
    kan: KAN,
    rows: ArrayLike,
    column: int | Sequence[int],
    *,
    inputs: InputTransform | None = None,
    outputs: OutputTransform | None = None,
    values: ArrayLike | None = None,
    points: int = 50,
    lines: int = 50,
) -> Effect:
    """How the answers depend on one column: on average over rows, and for single rows.

    The column is set to each value in every row; the other columns keep the row's values. Where two columns move
    together in the data, this asks for rows that do not occur.

    Args:
        kan: The network; it is not changed.
        rows: ``[rows, features]``, raw, one row or more; NaN where the transform fills it.
        column: The place of the feature, or the places of the features of one column, as of a column of words.
        inputs: The transform of the inputs; None: there is none.
        outputs: The transform of the outputs; None: there is none. With a softmax the answers are probabilities.
        values: ``[points]`` of one feature or ``[points, features]``, raw; None: of one feature the values in the
            rows, or evenly spaced numbers from the least to the greatest if they are more than ``points``; of several
            features the combinations in the rows, evenly chosen from the sorted ones if they are more.
        points: The most points that are chosen; 2 or more.
        lines: The most single rows, evenly chosen; 0 or more.

    Raises:
        ValueError: rows or values of another shape, a place that is no feature or named twice, a column without any
            finite value in the rows, ``points`` below 2 or ``lines`` below 0.

    Source: Friedman 2001, Greedy function approximation, section 8.2; of single rows Goldstein et al. 2015, arXiv
    1309.6392. scikit-learn's ``partial_dependence(method="brute")`` computes the same numbers.
    """
    x = np.asarray(rows, dtype=np.float64)
    places = [column] if isinstance(column, int | np.integer) else list(column)
    _check(kan, x, places, inputs, points, lines)
    chosen = _choose(x[:, places], points) if values is None else _read(values, len(places))
    network = on_cpu(kan)
    shown = np.unique(np.linspace(0, len(x) - 1, min(lines, len(x))).astype(np.int64))
    mean: list[Values] = []
    single: list[Values] = []
    for some in np.array_split(chosen, -(-len(chosen) * len(x) // _ROWS_AT_ONCE)):
        if len(some):
            changed = np.tile(x, (len(some), 1))
            changed[:, places] = np.repeat(some, len(x), axis=0)
            answered = _answer(network, changed, inputs, outputs).reshape(len(some), len(x), -1)
            mean += map(_finite_mean, answered)
            single.append(answered[:, shown])
    edges, counts = _density(x[:, places], chosen)
    return Effect(chosen, np.stack(mean), np.concatenate(single).swapaxes(0, 1), shown, edges, counts)


def _answer(kan: KAN, rows: Values, inputs: InputTransform | None, outputs: OutputTransform | None) -> Values:
    x = torch.from_numpy(rows)
    y = answers(kan, (x if inputs is None else inputs(x)).to(kan.dtype)).double()
    result: Values = (y if outputs is None else outputs(y)).numpy()
    return result


def _finite_mean(answered: Values) -> Values:
    """The mean over the rows with finite answers, by output; NaN if there is none."""
    finite = np.isfinite(answered).all(axis=1)
    mean: Values = answered[finite].mean(axis=0) if finite.any() else np.full(answered.shape[1], np.nan)
    return mean


def _choose(cells: Values, points: int) -> Values:
    """The values of the column, at most so many."""
    known = cells[np.isfinite(cells).all(axis=1)]
    if not len(known):
        raise ValueError("no row holds a finite value of the column; wanted one or more, or values")
    found: Values = np.unique(known, axis=0)
    if len(found) <= points:
        return found
    if cells.shape[1] == 1:
        chosen: Values = np.linspace(found[0], found[-1], points)
    else:
        chosen = found[np.linspace(0, len(found) - 1, points).astype(int)]
    return chosen


def _read(values: ArrayLike, features: int) -> Values:
    given = np.asarray(values, dtype=np.float64)
    given = given[:, None] if given.ndim == 1 and features == 1 else given
    if given.ndim != 2 or given.shape[1] != features or not len(given):
        raise ValueError(f"values have shape {given.shape}; wanted [1 or more points, {features}]")
    return given


def _density(cells: Values, chosen: Values) -> tuple[Values, NDArray[np.int64]]:
    if cells.shape[1] > 1:
        return np.empty(0), np.array([int((cells == point).all(axis=1).sum()) for point in chosen], np.int64)
    known = cells[np.isfinite(cells)]
    distinct = len(np.unique(known))
    if distinct < 2:  # numpy cannot make bins around one huge number.
        return np.repeat(known[:1], 2), np.array([len(known)], np.int64)[: len(known)]
    counts, edges = np.histogram(known, bins=min(_MOST_BINS, distinct))
    return edges.astype(np.float64), counts.astype(np.int64)


def _check(kan: KAN, x: Values, places: list[Any], inputs: InputTransform | None, points: int, lines: int) -> None:
    features = count_features(kan.width[0], inputs)
    if x.ndim != 2 or x.shape[1] != features or not len(x):
        raise ValueError(f"rows have shape {x.shape}; wanted [1 or more, {features}]")
    if not places or len(set(places)) < len(places) or not all(0 <= place < features for place in places):
        raise ValueError(f"column is {places}; wanted different places of features, 0 to {features - 1}")
    if points < 2 or lines < 0:
        raise ValueError(f"points is {points}, lines is {lines}; wanted 2 or more, 0 or more")

"""Raw rows of all kinds that a client can send, grouped by region. Graphs are compared with float64 on them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kan_model.network.network import KAN
from kan_model.network.transform import InputTransform, count_features

Rows32 = NDArray[np.float32]
Values64 = NDArray[np.float64]

# Training rows, with gaps imputed and with gaps as NaN.
TABLE = ("training rows", "training rows as they are")
INSIDE = "inside the domain"
KNOTS = "on knots"
ENDS = "at the ends of the domain"
OUTSIDE = "outside, up to 3 domains"
# In this region float32 itself limits every graph (docs/decisions/0002-far-outside.md). Errors are relative to the sum
# of the last layer's absolute edge outputs and bias, and classifiers are compared before the softmax.
FAR = "outside, one feature up to 1e6"


def rows_by_region(
    kan: KAN, inputs: InputTransform | None, training_rows: Rows32 | None, count: int
) -> Mapping[str, Rows32]:
    """``[rows, features]`` of each region; the same for the same network and data.

    Args:
        kan: The network.
        inputs: The transform of the inputs; None: there is none.
        training_rows: ``[rows, features]``, raw, NaN for a gap; None: there are no such regions.
        count: Rows per region. A region of training rows has fewer if there are fewer training rows.
    """
    random = np.random.default_rng(0)
    first = kan.layers[0]
    features = count_features(first.inputs, inputs)
    knots = _unscale(inputs, first.all_knots().detach().numpy().T)[:, :features]
    low, high = _unscale(inputs, first.domain.detach().numpy().T)[:, :features]
    middle, half = (low + high) / 2, (high - low) / 2
    feature = np.arange(count) % features
    inside = low + (high - low) * random.random((count, features))
    far = inside.copy()
    # Only one feature per row is large: if several large terms cancel, float32 has no digit of the answer left.
    signs = random.choice([-1.0, 1.0], count)
    far[np.arange(count), feature] = signs * 10 ** random.uniform(1, 6, count)
    missing = inside.copy()
    missing[np.arange(count), feature] = np.nan
    inner_knots = knots[first.degree : len(knots) - first.degree]
    seen = {}
    if training_rows is not None:
        # Evenly from the whole table, which may be sorted.
        some = training_rows[np.unique(np.linspace(0, len(training_rows) - 1, count).astype(int))]
        seen = dict(zip(TABLE, (_impute(inputs, some), some), strict=True))
    regions = seen | {
        INSIDE: inside,
        "missing values": missing,
        KNOTS: _mix(random, inner_knots, count),
        ENDS: _mix(random, np.stack([low, high]), count),
        OUTSIDE: middle + 3 * half * random.uniform(-1, 1, (count, features)),
        "outside, on knots beyond the domain": _mix(random, knots, count),
        FAR: far,
    }
    return {name: rows.astype(np.float32) for name, rows in regions.items()}


def _unscale(inputs: InputTransform | None, scaled: Values64) -> Values64:
    """Raw features, and raw gap inputs behind them, for network inputs."""
    return scaled if inputs is None else scaled / inputs.scale + inputs.center


def _impute(inputs: InputTransform | None, rows: Rows32) -> Rows32:
    """The rows with NaN replaced by the imputed values."""
    if inputs is None or inputs.imputed is None:
        return rows
    return np.where(np.isnan(rows), inputs.imputed, rows)


def _mix(random: np.random.Generator, choices: Values64, count: int) -> Values64:
    """Random rows: each feature takes one of its ``choices`` ([choices, features])."""
    picks = random.integers(len(choices), size=(count, choices.shape[1]))
    result: Values64 = np.take_along_axis(choices, picks, axis=0)
    return result

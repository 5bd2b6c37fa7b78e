"""How far a graph's edges are from those in float64."""

import numpy as np

from kan_model.lowering.checks.regions import Rows32, Values64


def edge_error(got: Rows32, wanted: Values64, sums: Values64, inherent: Values64) -> float:
    """The largest error of edges, relative to the largest of them or the range of their sum.

    ``inherent``, the error that float32 alone can cause, is subtracted first. An edge that is NaN on both sides has the
    error 0.
    """
    finite = np.isfinite(sums).all(axis=1)
    extent = np.ptp(sums[finite], axis=0) if finite.any() else np.zeros(sums.shape[1])
    largest = np.where(np.isfinite(wanted), np.abs(wanted), 0).max(axis=(0, 2))
    size = np.maximum(np.maximum(extent, largest), np.finfo(np.float32).tiny)[:, None]
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        error = (np.abs(got - wanted) - inherent).clip(min=0) / size
    error[np.isinf(inherent) | (np.isnan(got) & np.isnan(wanted)) | (got == wanted)] = 0
    return float(error.max())

"""Write what stands before the network: rows stacked on their reference rows, imputed and scaled."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kan_model.lowering.attribution.graph import INPUT_NAMES, AttributionGraph
from kan_model.network.transform import InputTransform

Indices = NDArray[np.int64]
Values = NDArray[np.float64]


def emit_stacked_inputs(graph: AttributionGraph, transform: InputTransform | None, read: Indices, features: int) -> str:
    """Write the network's inputs at the places ``read``, ``[references + rows, read]``; float64 if the graph is wide.

    Args:
        graph: The graph to write to.
        transform: Imputation and scaling; None: the features are the inputs.
        read: Places of the inputs that the network reads, ascending: features first, gap inputs behind them.
        features: Number of features.
    """
    stacked = graph.op("Concat", list(reversed(INPUT_NAMES)), "stacked", axis=0)
    x = stacked = graph.to_float64(stacked, "stacked64") if graph.is_wide else stacked
    missing = "" if transform is None or transform.imputed is None else graph.op("IsNaN", [stacked], "missing")
    if transform is not None and transform.imputed is not None:
        x = graph.op("Where", [missing, graph.floats(transform.imputed, "imputed_value"), stacked], "imputed")
    if transform is not None and transform.gaps is not None:
        gaps = graph.op("Gather", [missing, graph.integers(transform.gaps, "features_with_gaps")], "gaps", axis=1)
        flags = (graph.to_float64 if graph.is_wide else graph.to_float32)(gaps, "gap_inputs")
        x = graph.op("Concat", [x, flags], "with_gaps", axis=1)
    inputs = features + (0 if transform is None or transform.gaps is None else len(transform.gaps))
    if len(read) < inputs:
        x = graph.op("Gather", [x, graph.integers(read, "read_inputs")], "read", axis=1)
    if transform is not None and np.any(transform.center[read]):
        x = graph.op("Sub", [x, graph.floats(transform.center[read], "center")], "centred")
    if transform is not None and np.any(transform.scale[read] != 1):
        x = graph.op("Mul", [x, graph.floats(transform.scale[read], "scale")], "scaled")
    return x


def sums_of_columns(transform: InputTransform | None, read: Indices, columns: Sequence[int]) -> Values | None:
    """The matrix ``[read, columns]`` that sums the network's inputs into columns; None: it is the identity.

    A gap input belongs to the column of its feature.
    """
    gaps = [] if transform is None or transform.gaps is None else transform.gaps.tolist()
    column = np.array([*columns, *(columns[feature] for feature in gaps)])[read]
    sums = np.zeros((len(read), max(columns) + 1))
    sums[np.arange(len(read)), column] = 1
    return None if np.array_equal(sums, np.eye(len(read), sums.shape[1])) and len(sums) == sums.shape[1] else sums

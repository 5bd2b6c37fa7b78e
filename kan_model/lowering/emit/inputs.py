"""Write what stands before the network: imputation, gap inputs and scaling."""

import numpy as np
import onnx
from numpy.typing import NDArray

from kan_model.network.transform import InputTransform
from kan_model.onnx_graph import GraphBuilder

Indices = NDArray[np.int64]
Values = NDArray[np.float64]
INPUT_NAME = "features"
# A product with the diagonal matrix of the scales grows with the square of the inputs.
_MOST_BY_PRODUCT = 16
# An imputed value is a median, so it lies inside the domain, mostly [-1, 1]. The sum rounds to float32 of its size.
_MOST_SHIFT = 4.0


def emit_inputs(graph: GraphBuilder, transform: InputTransform | None, read: Indices, features: int) -> str:
    """Write the network's inputs at the places ``read``: features first, gap inputs behind them.

    Args:
        graph: The graph to write to.
        transform: Imputation and scaling; None: the features are the inputs.
        read: Places of the inputs that the network reads, ascending.
        features: Number of features.
    """
    graph.scope = "inputs"
    feature_places = read[read < features]
    if transform is not None and (shift := _small_shift(transform, read, features)) is not None:
        return _emit_from_imputed(graph, transform, read, features, shift)
    x = _emit_features(graph, transform, feature_places, features)
    if transform is None:
        return x
    if transform.gaps is not None and len(feature_places) < len(read):
        flags = _emit_gaps(graph, transform.gaps[read[len(feature_places) :] - features])
        x = graph.op("Concat", [x, flags], "with_gaps", axis=1) if len(feature_places) else flags
    if np.any(transform.center):
        x = graph.op("Sub", [x, graph.floats(transform.center[read], "center")], "centred")
    if np.any(transform.scale != 1):
        x = graph.op("Mul", [x, graph.floats(transform.scale[read], "scale")], "scaled")
    return x


def _small_shift(transform: InputTransform, read: Indices, features: int) -> Values | None:
    """What scaling makes of the imputed values, ``[read]``; None if :func:`_emit_from_imputed` does not apply."""
    if transform.imputed is None or not 0 < len(read) <= _MOST_BY_PRODUCT or read[-1] >= features:
        return None
    if not (np.any(transform.center[read]) and np.any(transform.scale[read] != 1)):
        return None
    imputed, center = (vector[read].astype(np.float64) for vector in (transform.imputed, transform.center))
    shift: Values = (imputed - center) * transform.scale[read].astype(np.float64)
    return shift if np.all(np.abs(shift) <= _MOST_SHIFT) else None


def _emit_from_imputed(
    graph: GraphBuilder, transform: InputTransform, read: Indices, features: int, shift: Values
) -> str:
    """Write (x − imputed)·scale + shift, where 0 replaces NaN: fewer operators that read a vector for each row.

    onnxruntime restarts its loops at each row where an operand is a vector. With 8 features, a Where with a vector took
    14 µs for 512 rows and one with a number 5, and a product with a diagonal matrix 1 in place of 7 for a Mul.
    """
    assert transform.imputed is not None
    x = _emit_read(graph, read, features)
    x = graph.op("Sub", [x, graph.floats(transform.imputed[read], "imputed_value")], "from_imputed")
    x = graph.op("Where", [graph.op("IsNaN", [x], "missing"), graph.floats(0.0, "zero"), x], "imputed")
    scale = graph.floats(np.diag(transform.scale[read]), "scale")
    return graph.op("Gemm", [x, scale, graph.floats(shift, "shift")], "scaled")


def _emit_read(graph: GraphBuilder, places: Indices, features: int) -> str:
    if len(places) == features:
        return INPUT_NAME
    return graph.op("Gather", [INPUT_NAME, graph.integers(places, "read_features")], "read", axis=1)


def _emit_features(graph: GraphBuilder, transform: InputTransform | None, places: Indices, features: int) -> str:
    """The features at these places, with gaps imputed."""
    if not len(places):
        return INPUT_NAME
    x = _emit_read(graph, places, features)
    if transform is None or transform.imputed is None:
        return x
    missing = graph.op("IsNaN", [x], "missing")
    return graph.op("Where", [missing, graph.floats(transform.imputed[places], "imputed_value"), x], "imputed")


def _emit_gaps(graph: GraphBuilder, places: Indices) -> str:
    """1 where the feature at each of these places is NaN, else 0."""
    cells = graph.op("Gather", [INPUT_NAME, graph.integers(places, "features_with_gaps")], "cells", axis=1)
    return graph.op("Cast", [graph.op("IsNaN", [cells], "gaps")], "gap_inputs", to=int(onnx.TensorProto.FLOAT))

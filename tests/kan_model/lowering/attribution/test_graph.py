"""Operators that onnxruntime has for float32 only are written in float64."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kan_model.lowering.attribution.graph import AttributionGraph
from kan_model.onnx_runtime import open_session

# Points in the domain of each operator, among them those where its formula is least exact.
POINTS = {
    "Tan": [-1.5, -0.3, 0.0, 1e-4, 1.2, 40.0],
    "Sinh": [-3.0, 0.0, 0.5, 5.0],
    "Cosh": [-3.0, 0.0, 0.5, 5.0],
    "Atan": [-1e6, -40.0, -1.0, 0.0, 1e-5, 0.7, 3e4],
    "Asin": [-1.0, -0.999999, -0.2, 0.0, 0.5, 1.0],
    "Acos": [-1.0, -0.999999, -0.2, 0.0, 0.5, 1.0],
    "Atanh": [-0.999, -0.1, 0.0, 0.6],
}


@pytest.mark.parametrize("kind", POINTS)
def test_operators_are_those_of_numpy(kind: str) -> None:
    """A difference of two neighbours, which float32 would lose, is NumPy's to five digits."""
    graph = AttributionGraph(1)
    graph.is_wide = True
    step = 1e-6
    x = graph.to_float64("features", "x")
    values = [
        graph.op(kind, [point], "value") for point in (graph.op("Add", [x, graph.floats(step, "step")], "next"), x)
    ]
    difference = graph.to_float32(graph.op("Sub", values, "change"), "rounded")
    model = graph.build({"difference": (difference, (1,))}, "test", {})
    points: NDArray[np.float32] = np.array(POINTS[kind], dtype=np.float32)[:, None]
    got = open_session(model).run_named(["difference"], {"features": points, "reference": points[:1]})[0]
    function = getattr(
        np, {"Atan": "arctan", "Asin": "arcsin", "Acos": "arccos", "Atanh": "arctanh"}.get(kind, kind.lower())
    )
    exact = points.astype(np.float64)
    with np.errstate(invalid="ignore"):
        wanted = function(exact + step) - function(exact)
    # NaN beyond the end of a domain, on both sides.
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-14)

"""The closed form: both ways to scale to intervals, and its few operators."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANConfig
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.network.layer import Outside
from kan_model.onnx_graph import GraphBuilder
from kan_model.onnx_runtime import run
from kan_model.splines.bspline import cardinal_terms

Answers = Callable[[KAN, NDArray[np.float32]], NDArray[np.float64]]
DOMAINS = {
    "one domain": ((-1.0, 2.0), (-1.0, 2.0), (-1.0, 2.0)),
    "one size": ((-1.0, 2.0), (0.0, 3.0), (50.0, 53.0)),
    "any": ((-1.0, 2.0), (0.0, 0.5), (50.0, 80.0)),
}


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_domains_shared_of_one_size_and_any(
    domain: str, outside: Outside, degree: int, float64_answers: Answers
) -> None:
    """Where intervals are equal no scaling is written, and where domains are, one Clip: the same function."""
    kan = KAN(KANConfig((3, 2), degree=degree, outside=outside, domain=DOMAINS[domain], noise=0.5))
    low, high = np.array(DOMAINS[domain]).T
    rows = (low + (high - low) * np.random.default_rng(0).uniform(-1.5, 2.5, (100, 3))).astype(np.float32)
    model = predicting_model(kan, None, None, [ClosedForm()])
    np.testing.assert_allclose(run(model, rows), float64_answers(kan, rows), atol=3e-5)
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["HardSigmoid"] == len(cardinal_terms(degree))
    if outside == "decay":
        assert not {"Clip", "Min", "Max"} & set(operators)
    else:
        assert (operators["Clip"], operators["Max"]) == ((0, 1) if domain == "one size" else (1, 0))
    # Scaling to intervals, beside silu and powers.
    scaled = [node.output[0] for node in model.graph.node if node.output[0].endswith("/cells")]
    assert len(scaled) == (domain == "any")


def test_it_is_for_uniform_grids(make_kan: Callable[..., KAN]) -> None:
    """The closed form applies to uniform grids of any size, and to no others."""
    assert ClosedForm().applies(make_kan(grid_size=100).layers[0])
    assert not ClosedForm().applies(make_kan(uneven=True).layers[0])


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_clamp_needs_one_column_less(degree: int, make_kan: Callable[..., KAN]) -> None:
    """The basis functions sum to 1 there; under decay they do not, and nothing is constant."""
    for outside, columns in (("clamp", 5 + degree - 1), ("decay", 5 + degree)):
        layer = make_kan((2, 3), degree=degree, outside=outside).layers[0]
        splines = ClosedForm().emit(GraphBuilder("x", 2), layer, "x")
        (term,) = splines.terms
        assert term.weight.shape == (columns, 2, 3)
        assert np.any(splines.constant) == (outside == "clamp")


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_columns_lie_between_what_is_told(degree: int, make_kan: Callable[..., KAN]) -> None:
    """Zero and the basis function's peak, which is met on its centre."""
    layer = make_kan((2, 3), degree=degree, outside="decay").layers[0]
    graph = GraphBuilder("x", 2)
    (term,) = ClosedForm().emit(graph, layer, "x").terms
    low, high = layer.domain.numpy().T
    rows = np.linspace(2 * low - high, 2 * high - low, 5000).astype(np.float32)
    values = run(graph.build({"columns": (term.value, (2 * len(term.weight),))}, "basis", {}), rows)
    assert term.low == 0
    assert values.min() >= -1e-6 * term.high
    assert values.max() == pytest.approx(term.high, rel=1e-2)


def test_nothing_is_added_by_the_cut_at_one(float64_answers: Answers) -> None:
    """HardSigmoid cuts at 1: rounding must not lift a tail above it, at any width of an interval."""
    for degree in range(1, 6):
        for width in (0.1, 0.7, 1.3, 3.0, 1e3):
            kan = KAN(KANConfig((1, 1), degree=degree, domain=(0.0, width), noise=1.0), dtype=torch.float32)
            centres = np.linspace(-degree / 2, 5 + degree / 2, 2 * (5 + degree) + 1) * width / 5
            rows = centres[:, None].astype(np.float32)
            got = run(predicting_model(kan, None, None, [ClosedForm()]), rows)
            np.testing.assert_allclose(got, float64_answers(kan, rows), atol=1e-5 + 1e-6 * width)

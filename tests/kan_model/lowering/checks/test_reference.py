"""The comparison accepts right graphs and finds errors in every region."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from kan_model import KAN
from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.network.layer import KANLayer
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax

SOME = np.full(2, 3, np.float32)
INPUTS = InputTransform(
    np.array([1, 20, -3], np.float32), np.array([0.5, 0.1, 2], np.float32), np.array([1, 25, np.nan], np.float32)
)


def model_of(kan: KAN, inputs: InputTransform | None = None, outputs: OutputTransform | None = None) -> onnx.ModelProto:
    """The network's graph."""
    return predicting_model(kan, inputs, outputs, [ClosedForm()] * len(kan.layers))


def changed(kan: KAN, **parts: object) -> KAN:
    """The network whose last layer has these parts instead of its own."""
    *others, last = kan.layers
    settings: dict[str, object] = {
        "base_weight": last.base_weight.detach(),
        "coefficients": last.coefficients.detach(),
        "degree": last.degree,
        "outside": last.outside,
        "domain": last.domain,
    }
    return KAN.of_layers([*others, KANLayer(**(settings | parts))])  # type: ignore[arg-type]


@pytest.mark.parametrize("outputs", [None, Softmax(), Affine(SOME, SOME), Exponential(SOME, SOME)])
@pytest.mark.parametrize("inputs", [None, INPUTS])
def test_a_right_graph_passes(
    make_kan: Callable[..., KAN], inputs: InputTransform | None, outputs: OutputTransform | None
) -> None:
    """A right graph passes in all regions, also far outside and with gaps; repeating gives the same result."""
    kan = make_kan(dtype=torch.float32)
    found = [Reference(kan, inputs, outputs, rows_per_region=64).compare(model_of(kan, inputs, outputs)) for _ in "ab"]
    assert found[0] == found[1]
    assert 0 < found[0].max_relative_error < 5e-6
    # An answer of exp(20) is off by 2e-7 of itself.
    assert 0 < found[0].max_abs_error < (np.inf if isinstance(outputs, Exponential) else 1e-5)
    assert found[0].rows == 7 * 64


def test_an_error_inside_is_measured(make_kan: Callable[..., KAN]) -> None:
    """Splines are off by a hundredth: the largest difference over the output's range, and in its own unit.

    Over its range, however far from zero that lies.
    """
    kan = make_kan((2, 2), dtype=torch.float64)
    kan = changed(kan, coefficients=kan.layers[0].coefficients.detach() + 50)
    weight = kan.layers[0].coefficients.detach().clone()
    weight[1] += 0.01
    reference = Reference(kan, rows_per_region=256)
    found = reference.compare(model_of(changed(kan, coefficients=weight)))
    # Two edges, each off by a hundredth everywhere.
    assert found.max_abs_error == pytest.approx(0.02, rel=5e-3)
    assert found.max_relative_error == pytest.approx(0.02 / reference.scale[1], rel=5e-3)


def test_an_error_outside_is_found_there(make_kan: Callable[..., KAN]) -> None:
    """Another policy is the same function inside the domain, and nowhere else."""
    kan = make_kan((2, 1))
    found = Reference(kan, rows_per_region=64).compare(model_of(changed(kan, outside="decay")))
    assert found.max_relative_error > 0.01
    assert found.max_abs_error < 1e-5
    assert found.region.startswith("outside")


def test_far_outside_the_base_branch_is_judged(make_kan: Callable[..., KAN]) -> None:
    """A base weight that is off by 1e-4 of itself is off by that of its term, also where x is 1e6."""
    kan = make_kan((1, 1))
    found = Reference(kan, rows_per_region=64).compare(
        model_of(changed(kan, base_weight=kan.layers[0].base_weight.detach() * 1.0001))
    )
    assert found.max_relative_error > 5e-5


@pytest.mark.parametrize("lost_by", ["graph", "network"])
def test_nan_on_one_side_only_is_no_equality(make_kan: Callable[..., KAN], lost_by: str) -> None:
    """A graph that imputes what the network does not, and the other way round."""
    kan = make_kan((3, 1))
    imputing = InputTransform(np.zeros(3, np.float32), np.ones(3, np.float32), np.zeros(3, np.float32))
    judge, judged = (None, imputing) if lost_by == "graph" else (imputing, None)
    found = Reference(kan, judge, rows_per_region=16).compare(model_of(kan, judged))
    assert found.max_relative_error == np.inf
    assert found.region == "missing values: NaN on one side only"


def test_nan_of_a_pruned_edge_may_be_either(
    make_kan: Callable[..., KAN], with_mask: Callable[[KANLayer, NDArray[np.bool_]], KANLayer]
) -> None:
    """A dense product may give 0 · NaN for a pruned edge: output 0 does not read input 1."""
    kan = KAN.of_layers([with_mask(make_kan((2, 2)).layers[0], np.array([[1, 0], [1, 1]], bool))])
    dense = model_of(kan)
    assert Reference(kan, rows_per_region=16).compare(dense).max_relative_error < 1e-5


def test_a_graph_need_not_have_the_nan_of_a_pruned_edge(make_kan: Callable[..., KAN]) -> None:
    """Symbolic edges are no product, so output 0, which does not read the missing input 1, may be a number."""
    (layer,) = make_kan((2, 2)).layers
    layer.edge_mask.zero_()
    edges = [SymbolicEdge(place, place, "sin", 1, 0, 1, 0) for place in (0, 1)]
    kan = KAN.of_layers([layer.with_symbolic(edges)])
    assert Reference(kan, rows_per_region=16).compare(model_of(kan)).max_relative_error < 1e-5


def test_nan_of_an_edge_that_is_there_must_be(make_kan: Callable[..., KAN]) -> None:
    """A logarithm of what is negative on half of the domain; a graph with abs in front of it answers too much."""
    (layer,) = make_kan((1, 1)).layers
    kan = KAN.of_layers([layer.with_symbolic([SymbolicEdge(0, 0, "log", 1, 0, 1, 0)])])
    assert Reference(kan, rows_per_region=16).compare(model_of(kan)).max_relative_error < 1e-5
    other = KAN.of_layers([layer.with_symbolic([SymbolicEdge(0, 0, "abs", 1, 0, 1, 0)])])
    assert Reference(kan, rows_per_region=16).compare(model_of(other)).max_relative_error == np.inf


def test_classes_far_outside_are_judged_before_the_softmax(make_kan: Callable[..., KAN]) -> None:
    """A wrong logit does not show in the probabilities if one class is certain; before the softmax it is found."""
    kan = make_kan((1, 2))
    weight = torch.tensor([[50.0], [-50.0]], dtype=torch.float64)
    wrong = weight * torch.tensor([[1.0], [1.01]], dtype=torch.float64)
    reference = Reference(changed(kan, base_weight=weight), None, Softmax(), rows_per_region=64)
    found = reference.compare(model_of(changed(kan, base_weight=wrong), None, Softmax()))
    assert found.region == "outside, one feature up to 1e6"
    assert found.max_relative_error == pytest.approx(0.01, rel=0.1)


def test_errors_are_relative_to_the_range_or_the_unit(make_kan: Callable[..., KAN]) -> None:
    """Range of the answers to training rows or inside the domain; at least 1 for classes, the scale for numbers."""
    kan = make_kan((3, 2))
    rows = np.random.default_rng(0).uniform(-0.1, 0.1, (40, 3)).astype(np.float32)
    with torch.no_grad():
        answers = kan(torch.from_numpy(rows).double()).numpy()
    np.testing.assert_allclose(Reference(kan, training_rows=rows, rows_per_region=99).scale, np.ptp(answers, axis=0))
    assert np.all(Reference(kan, rows_per_region=99).scale > np.ptp(answers, axis=0))
    assert np.all(Reference(kan, outputs=Softmax(), rows_per_region=99).scale >= 1)
    unit = Affine(np.zeros(2, np.float32), np.array([1000, 1e-9], np.float32))
    scale = Reference(kan, outputs=unit, training_rows=rows, rows_per_region=99).scale
    np.testing.assert_allclose(scale, np.maximum(np.ptp(answers, axis=0), 1) * [1000, 1e-9], rtol=1e-6)
    told = np.array([7.0, 8.0])
    np.testing.assert_array_equal(Reference(kan, scale=told, rows_per_region=9).scale, told)


@pytest.mark.parametrize(("constant", "scale"), [(0.0, 1.0), (-4.0, 4.0)])
def test_a_constant_is_its_own_unit(make_kan: Callable[..., KAN], constant: float, scale: float) -> None:
    """A network that learned a number has no range; one that learned zero has the unit 1."""
    kan = make_kan((1, 1))
    with torch.no_grad():
        kan.layers[0].base_weight.zero_()
        kan.layers[0].coefficients.fill_(constant)
    reference = Reference(kan, rows_per_region=32)
    np.testing.assert_allclose(reference.scale, [scale], rtol=1e-12)
    assert reference.compare(model_of(kan)).max_relative_error < 1e-6


def test_training_rows_are_looked_at_as_they_are_and_imputed(make_kan: Callable[..., KAN]) -> None:
    """A feature missing in the table is imputed in one region and left in the other; all rows count."""
    kan = make_kan((3, 2))
    rows = np.array([[1, np.nan, -3], [2, 20, -2]], np.float32)
    reference = Reference(kan, INPUTS, training_rows=rows, rows_per_region=10)
    assert np.isfinite(reference.scale).all()
    found = reference.compare(model_of(kan, INPUTS))
    assert found.rows == 7 * 10 + 2 * 2
    assert found.max_relative_error < 1e-5


def test_rows_to_be_timed_are_like_those_to_be_served(make_kan: Callable[..., KAN]) -> None:
    """Raw ones inside the domain, and what each layer reads of them; as many as wanted."""
    kan = make_kan((3, 4, 2))
    reference = Reference(kan, INPUTS, rows_per_region=64)
    raw = reference.rows_inside(100)
    assert raw.shape == (100, 3)
    scaled = INPUTS(torch.from_numpy(raw).double())
    low, high = kan.layers[0].domain.T
    assert ((scaled > low - 1e-5) & (scaled < high + 1e-5)).all()
    np.testing.assert_allclose(reference.hidden_rows(0, 100), scaled, atol=1e-6)
    with torch.no_grad():
        hidden = kan.layers[0](scaled)
    got = reference.hidden_rows(1, 100)
    assert got.shape == (100, 4)
    np.testing.assert_allclose(got, hidden, atol=1e-5)


def test_an_infinite_answer_is_an_infinite_error(make_kan: Callable[..., KAN]) -> None:
    """If the graph overflows, the error is infinite."""
    kan = make_kan((1, 1))
    model = model_of(kan)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("layer0/weight"):
            tensor.CopyFrom(numpy_helper.from_array(np.full(tensor.dims, 3e38, np.float32), tensor.name))
    assert Reference(kan, rows_per_region=16).compare(model).max_relative_error == np.inf

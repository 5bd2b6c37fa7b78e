"""Verification finds errors of a graph and accepts right graphs."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from kan_model import KAN, KANConfig, with_monotone_inputs
from kan_model.lowering import lower
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.network.transform import Affine, InputTransform, Intervals, Softmax
from training.publishing.verify import Verification, VerificationFailed, check_promises, verify

INPUTS = InputTransform(
    np.array([5, 50], np.float32), np.array([0.5, 0.02], np.float32), np.array([np.nan, 40], np.float32)
)
REGRESSION = Affine(np.array([10], np.float32), np.array([3], np.float32))
# Twice lower's: it divides errors by the range over its own rows, not over ROWS.
TOLERANCE = 2e-5
ROWS = np.random.default_rng(0).uniform([3, 0], [7, 100], (500, 2)).astype(np.float32)


def network(outputs: int = 1) -> KAN:
    """[2, 4, outputs] with visible curves."""
    return KAN(KANConfig((2, 4, outputs), noise=1.0))


def check(model: onnx.ModelProto, kan: KAN, outputs: Affine | Softmax = REGRESSION) -> Verification:
    """Verify against ROWS."""
    return verify(model, kan, INPUTS, outputs, ROWS, TOLERANCE)


@pytest.mark.parametrize("outputs", [REGRESSION, Softmax()])
def test_a_true_graph_passes_with_its_largest_error(outputs: Affine | Softmax) -> None:
    """Small but not zero: float32 was compared with float64, in every region."""
    kan = network(3 if isinstance(outputs, Softmax) else 1)
    result = check(lower(kan, inputs=INPUTS, outputs=outputs).model, kan, outputs)
    assert 0 < result.errors.max_relative_error < TOLERANCE
    assert 0 < result.errors.max_abs_error < 1e-3
    assert result.errors.rows > 10_000


@pytest.mark.parametrize("outputs", [REGRESSION, Softmax()])
def test_a_changed_weight_is_found(outputs: Affine | Softmax) -> None:
    """One weight that is off by a thousandth is enough."""
    kan = network(3 if isinstance(outputs, Softmax) else 1)
    model = lower(kan, inputs=INPUTS, outputs=outputs).model
    weight = next(t for t in model.graph.initializer if t.name == "layer1/weight")
    values = numpy_helper.to_array(weight).copy()
    values[3, 0] *= 1.001
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    with pytest.raises(VerificationFailed, match="differs from float64 by"):
        check(model, kan, outputs)


def test_a_graph_that_only_fails_outside_the_domain_is_found() -> None:
    """A graph with the wrong policy is right inside the domain and refused for its answers outside."""
    clamp, decay = (KAN(KANConfig((2, 1), noise=1.0, outside=outside)) for outside in ("clamp", "decay"))
    model = lower(decay, inputs=INPUTS, outputs=REGRESSION).model
    with pytest.raises(VerificationFailed, match="outside"):
        check(model, clamp)


def test_a_graph_without_the_imputation_is_found() -> None:
    """NaN where float64 has a number."""
    kan = network()
    model = lower(kan, inputs=InputTransform(INPUTS.center, INPUTS.scale), outputs=REGRESSION).model
    with pytest.raises(VerificationFailed, match="NaN on one side"):
        check(model, kan)


def test_a_class_that_is_never_likely_does_not_refuse_an_exact_graph() -> None:
    """Probabilities are judged on the scale of probabilities, not on the range of a rare class."""
    first, last = network(3).layers
    kan = KAN.of_layers([first, last.changed(bias=torch.tensor([0.0, 0.0, -30.0]))])
    check(lower(kan, inputs=INPUTS, outputs=Softmax(), tune_for=()).model, kan, Softmax())


def test_a_network_that_learned_a_constant_passes() -> None:
    """A number is judged by the target's standard deviation where the answers hardly have a range."""
    kan = network()
    with torch.no_grad():
        for layer in kan.layers:
            layer.base_weight.mul_(1e-6)
            layer.coefficients.mul_(1e-6)
    check(lower(kan, inputs=INPUTS, outputs=REGRESSION).model, kan)


def test_the_tolerance_decides() -> None:
    """A bound below float32's own error is missed, and the message says by how much and where."""
    kan = network()
    model = lower(kan, inputs=INPUTS, outputs=REGRESSION).model
    with pytest.raises(VerificationFailed, match=r"by \d.*e-\d+ .*1e-12"):
        verify(model, kan, INPUTS, REGRESSION, ROWS, 1e-12)


def scaled_intervals(kan: KAN) -> Intervals:
    """Bounds whose width follows both inputs."""
    first = kan.layers[0]
    coefficients = torch.rand(1, *first.coefficients.shape[1:], generator=torch.Generator().manual_seed(1))
    scale = first.changed(
        base_weight=torch.zeros(1, 2), coefficients=coefficients, edge_mask=torch.ones(1, 2), bias=torch.zeros(1)
    )
    return Intervals(np.array([0.5], np.float32), "linear", scale)


def check_bounds(model: onnx.ModelProto, kan: KAN, intervals: Intervals) -> Verification:
    """Verify answers and bounds."""
    return verify(model, kan, INPUTS, REGRESSION, ROWS, TOLERANCE, intervals=intervals)


def test_bounds_pass_on_all_kinds_of_rows() -> None:
    """With gaps, at the ends of the domain and far outside."""
    kan = network()
    intervals = scaled_intervals(kan)
    model = lower(kan, inputs=INPUTS, outputs=REGRESSION, intervals=intervals).model
    assert check_bounds(model, kan, intervals).errors.max_relative_error < TOLERANCE


def test_bounds_that_only_fail_outside_the_domain_are_found() -> None:
    """A scale that falls to zero there is right inside the domain; the answers are right everywhere."""
    kan = network()
    intervals = scaled_intervals(kan)
    assert intervals.scale is not None
    falling = replace(intervals, scale=intervals.scale.changed(outside="decay"))
    model = lower(kan, inputs=INPUTS, outputs=REGRESSION, strategies=[CoxDeBoor()], intervals=falling).model
    with pytest.raises(VerificationFailed, match=r"the bound lower differs from float64 .*outside"):
        check_bounds(model, kan, intervals)


def test_bounds_on_the_wrong_side_are_found() -> None:
    """Bounds that changed places leave no answer between them."""
    kan = network()
    intervals = scaled_intervals(kan)
    model = lower(kan, inputs=INPUTS, outputs=REGRESSION, intervals=intervals).model
    lower_bound, upper_bound = (next(o for o in model.graph.output if o.name == name) for name in ("lower", "upper"))
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name in ("lower", "upper"):
                node.output[place] = "upper" if name == "lower" else "lower"
    assert lower_bound.type == upper_bound.type
    with pytest.raises(VerificationFailed, match="is not between its bounds"):
        check_bounds(model, kan, intervals)


@pytest.mark.parametrize("classes", [[], ["no", "yes"]])
def test_a_promise_that_one_free_edge_breaks_is_refused(classes: list[str]) -> None:
    """By the name of its column; the network without this edge passes, and so does the column that keeps its edges."""
    named = [Feature(name="age", monotone="up"), Feature(name="price", monotone="down"), Feature(name="rooms")]
    manifest = ModelManifest(features=named, classes=classes)
    kan = with_monotone_inputs(KAN(KANConfig((3, 4, 2 if classes else 1))), (1, -1, 0), (-1, 1) if classes else (1,))
    check_promises(manifest, kan)
    first = kan.layers[0]
    for place, name in enumerate(("age", "price")):
        signs = first.signs.clone()
        signs[0, place] = 0
        with pytest.raises(VerificationFailed, match=f'"{name}" is promised to be monotone'):
            check_promises(manifest, kan.with_layers([first.changed(directions=signs), kan.layers[1]]))


def test_a_promise_of_the_other_direction_is_refused() -> None:
    """A network that rises does not keep what says that it never rises."""
    kan = with_monotone_inputs(KAN(KANConfig((2, 4, 1))), (1, 0), (1,))
    check_promises(ModelManifest(features=[Feature(name="age", monotone="up"), Feature(name="rooms")]), kan)
    with pytest.raises(VerificationFailed, match='"age"'):
        check_promises(ModelManifest(features=[Feature(name="age", monotone="down"), Feature(name="rooms")]), kan)

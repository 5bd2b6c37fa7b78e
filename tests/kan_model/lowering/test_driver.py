"""Graphs against the network in float64."""

import copy
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kan_model import KAN, KANConfig
from kan_model.layer import Outside
from kan_model.lowering import lower
from kan_model.lowering.closed_form import ClosedForm
from kan_model.lowering.cox_de_boor import CoxDeBoor
from kan_model.lowering.driver import STRATEGIES
from kan_model.onnx_runtime import run
from kan_model.transform import Affine, InputTransform, Softmax


def reference(kan: KAN, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The network in float64, fed the float32 rows."""
    with torch.no_grad():
        result: NDArray[np.float64] = copy.deepcopy(kan).double()(torch.from_numpy(x).double()).numpy()
    return result


def rows(kan: KAN, count: int = 300) -> NDArray[np.float32]:
    """Points inside, on knots, at the ends and up to three domains outside."""
    layer = kan.layers[0]
    low, high = layer.domain.double().T
    generator = torch.Generator().manual_seed(0)
    middle, half = (low + high) / 2, (high - low) / 2
    spread = (torch.rand(count, layer.inputs, dtype=torch.float64, generator=generator) * 2 - 1) * 3
    return torch.cat([middle + half * spread, layer.all_knots().double().T]).numpy().astype(np.float32)


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("way", ["closed_form", "cox_de_boor", "uneven"])
def test_graph_equals_float64(make_kan: Callable[..., KAN], degree: int, outside: Outside, way: str) -> None:
    """Both strategies, each degree and policy: within 1e-5 of the range up to three domains outside."""
    kan = make_kan((4, 6, 2), degree=degree, outside=outside, dtype=torch.float32, uneven=way == "uneven")
    lowered = lower(kan, strategies=(CoxDeBoor(),) if way == "cox_de_boor" else STRATEGIES)
    assert lowered.strategies == (
        "closed_form" if way == "closed_form" else "cox_de_boor",
        "cox_de_boor" if way == "cox_de_boor" else "closed_form",
    )
    x = rows(kan)
    expected = reference(kan, x)
    error = np.abs(run(lowered.model, x) - expected) / np.ptp(expected, axis=0)
    assert error.max() < 1e-5


@settings(deadline=None, max_examples=25)
@given(
    width=st.lists(st.integers(1, 7), min_size=2, max_size=4).map(tuple),
    grid_size=st.integers(1, 20),
    degree=st.integers(1, 5),
    outside=st.sampled_from(["clamp", "decay"]),
    low=st.floats(-100, 100),
    size=st.floats(0.1, 200),
    seed=st.integers(0, 99),
)
def test_any_network_lowers_to_its_float64_self(
    width: tuple[int, ...], grid_size: int, degree: int, outside: Outside, low: float, size: float, seed: int
) -> None:
    """Shape, grid, degree, domain and policy at random: each strategy stays within float32 of float64.

    The bound is of what float32 inputs allow: a cell coordinate x/h carries |x|/h ulps.
    """
    domain = (float(np.float32(low)), float(np.float32(low + size)))
    kan = KAN(KANConfig(width, grid_size=grid_size, degree=degree, outside=outside, domain=domain), seed=seed)
    x = rows(kan, 100)
    expected = reference(kan, x)
    scale = np.maximum(np.ptp(expected, axis=0), 1e-3)
    conditioning = (abs(low) + size) / size * grid_size * degree
    for strategy in STRATEGIES:
        got = run(lower(kan, strategies=(strategy,)).model, x)
        assert np.max(np.abs(got - expected) / np.maximum(scale, np.abs(expected))) < 2e-6 * conditioning


def test_transforms_are_part_of_the_graph(make_kan: Callable[..., KAN]) -> None:
    """NaN is imputed, inputs are scaled, logits become probabilities: as the float64 transforms do."""
    kan = make_kan((3, 4), dtype=torch.float32)
    inputs = InputTransform(
        np.array([1, 20, -3], np.float32), np.array([0.5, 0.1, 2], np.float32), np.array([1, 25, np.nan], np.float32)
    )
    model = lower(kan, inputs=inputs, outputs=Softmax()).model
    x = np.array([[1, 2, -3], [np.nan, 25, -2.5], [0, np.nan, -3.1]], np.float32)
    with torch.no_grad():
        expected = Softmax()(copy.deepcopy(kan).double()(inputs(torch.from_numpy(x).double()))).numpy()
    np.testing.assert_allclose(run(model, x), expected, atol=1e-6)
    assert model.graph.output[0].name == "probabilities"


def test_regression_comes_out_in_raw_units(make_kan: Callable[..., KAN]) -> None:
    """An affine transform at the end."""
    kan = make_kan((2, 2), dtype=torch.float32)
    outputs = Affine(np.array([100, -5], np.float32), np.array([30, 0.1], np.float32))
    model = lower(kan, outputs=outputs).model
    x = rows(kan)
    expected = reference(kan, x) * outputs.scale + outputs.center
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5, atol=1e-5)
    assert model.graph.output[0].name == "prediction"


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
def test_nan_stays_nan(make_kan: Callable[..., KAN], outside: Outside, uneven: bool) -> None:
    """Without imputation a missing value makes its row's answers NaN, and no other row's."""
    kan = make_kan(dtype=torch.float32, outside=outside, uneven=uneven)
    x = np.zeros((3, 3), np.float32)
    x[1, 2] = np.nan
    got = run(lower(kan).model, x)
    assert np.isnan(got[1]).all()
    assert np.isfinite(got[[0, 2]]).all()


@pytest.mark.parametrize("rows_count", [1, 2, 33])
def test_any_number_of_rows(make_kan: Callable[..., KAN], rows_count: int) -> None:
    """The batch is dynamic; a row's answer does not depend on its neighbours."""
    kan = make_kan(dtype=torch.float32)
    model = lower(kan).model
    x = rows(kan)[:rows_count]
    alone = np.concatenate([run(model, x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(run(model, x), alone, atol=1e-6)


def test_the_graph_is_plain_onnx(make_kan: Callable[..., KAN]) -> None:
    """Standard ops only, opset 17, IR 8, no unused or doubled constants, every value named after its layer."""
    model = lower(make_kan(dtype=torch.float32, uneven=True), metadata={"model": "x"}).model
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version <= 9
    assert {node.domain for node in model.graph.node} == {""}
    assert all(node.name.split("/")[0] in ("layer0", "layer1") for node in model.graph.node)
    contents = [(t.data_type, tuple(t.dims), t.raw_data) for t in model.graph.initializer]
    assert len(contents) == len(set(contents))
    used = {name for node in model.graph.node for name in node.input}
    assert {t.name for t in model.graph.initializer} <= used
    assert {p.key: p.value for p in model.metadata_props} == {"model": "x"}


def test_lowering_is_deterministic(make_kan: Callable[..., KAN]) -> None:
    """The same network gives the same bytes."""
    first, second = (lower(make_kan()).model.SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_weights_that_are_not_finite_are_refused(make_kan: Callable[..., KAN]) -> None:
    """The error names the layer and how many."""
    kan = make_kan()
    with torch.no_grad():
        kan.layers[1].coefficients[0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"layer 1: 1 of \d+ numbers in coefficients"):
        lower(kan)


def test_a_grid_that_no_strategy_can_write_is_refused(make_kan: Callable[..., KAN]) -> None:
    """The closed form alone cannot serve uneven knots."""
    with pytest.raises(ValueError, match="layer 0: none of closed_form"):
        lower(make_kan(uneven=True), strategies=(ClosedForm(),))

"""Lowering from end to end: the same bytes, transforms, and what is refused."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.grids.refinement import replace_knots
from kan_model.lowering import LoweringError, lower
from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import Outside
from kan_model.network.transform import Affine, InputTransform
from kan_model.onnx_runtime import open_session


@pytest.mark.slow
@pytest.mark.parametrize(
    ("degree", "outside", "uneven"),
    # All pairs of two of these: with each degree one of the tails on uneven knots and the other one on even ones.
    [
        (degree, outside, uneven)
        for degree in (1, 2, 3, 4, 5)
        for outside, uneven in (("clamp", degree % 2 == 0), ("decay", degree % 2 == 1))
    ],
)
def test_what_is_kept_is_within_the_tolerance(
    make_kan: Callable[..., KAN], degree: int, outside: Outside, uneven: bool
) -> None:
    """Of the whole graph, against float64, up to 1e6; and it is the first such strategy where nothing is timed."""
    kan = make_kan((4, 6, 2), degree=degree, outside=outside, dtype=torch.float32, uneven=uneven)
    lowered = lower(kan, tune_for=())
    assert lowered.preferred_rows == 0
    found = Reference(kan, rows_per_region=1000).compare(lowered.model)
    assert found.max_relative_error < 2e-5
    assert lowered.report.max_relative_error <= lowered.report.tolerance == 1e-5
    order = [strategy.name for strategy in STRATEGIES]
    for layer, report in zip(kan.layers, lowered.report.layers, strict=True):
        assert [c.strategy for c in report.candidates if not c.seconds] == [c.strategy for c in report.candidates]
        within = [c.strategy for c in report.candidates if c.max_relative_error <= 1e-5]
        assert within == sorted(within, key=order.index)
        assert report.strategy in within
        assert {c.strategy for c in report.candidates} == {s.name for s in STRATEGIES if s.applies(layer)}


def test_without_tuning_the_same_network_gives_the_same_bytes(make_kan: Callable[..., KAN]) -> None:
    """Without tuning the same network gives the same bytes of both models and the same report."""
    first, second = (lower(make_kan(uneven=True), tune_for=(), metadata={"a": "b", "c": "d"}) for _ in range(2))
    assert first.model.SerializeToString() == second.model.SerializeToString()
    assert first.explained.SerializeToString() == second.explained.SerializeToString()
    assert first.report == second.report
    assert {prop.key: prop.value for prop in first.model.metadata_props} == {"a": "b", "c": "d"}


def test_the_network_is_left_as_it_is(make_kan: Callable[..., KAN]) -> None:
    """No number changes, and none is shared with what is made of it."""
    kan = make_kan(dtype=torch.float32)
    before = copy.deepcopy(kan.state_dict())
    lower(kan, tune_for=())
    assert all(torch.equal(tensor, before[name]) for name, tensor in kan.state_dict().items())


def test_both_models_answer_the_same_with_transforms(make_kan: Callable[..., KAN]) -> None:
    """Raw features in, raw units out, by the strategies that were kept."""
    kan = make_kan((2, 3, 1), dtype=torch.float32)
    inputs = InputTransform(np.array([10, 1], np.float32), np.array([0.1, 2], np.float32), np.array([9, 1], np.float32))
    outputs = Affine(np.array([50], np.float32), np.array([20], np.float32))
    lowered = lower(kan, inputs=inputs, outputs=outputs, tune_for=())
    rows = np.array([[12, 1.25], [np.nan, 0.5], [7, np.nan]], np.float32)
    with torch.no_grad():
        expected = outputs(copy.deepcopy(kan).double()(inputs(torch.from_numpy(rows).double()))).numpy()
    for model in (lowered.model, lowered.explained):
        np.testing.assert_allclose(open_session(model).run(rows)[0], expected, rtol=1e-5)


def test_errors_are_those_on_training_rows_too(make_kan: Callable[..., KAN]) -> None:
    """With training rows on a thousandth of the range the relative error is 1,000 times larger: all fail."""
    kan = make_kan((2, 1), dtype=torch.float32)
    rows = np.full((2, 2), 0.25, np.float32)
    rows[1] += 1e-4
    with pytest.raises(LoweringError, match="layer 0: no strategy"):
        lower(kan, tune_for=(), training_rows=rows)
    assert lower(kan, tune_for=(), training_rows=rows, scale=np.array([1.0])).report.max_relative_error < 1e-5


@pytest.mark.parametrize("name", ["base_weight", "coefficients", "edge_mask", "domain"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(make_kan: Callable[..., KAN], name: str, value: float) -> None:
    """Numbers that are not finite are refused with layer, tensor and count."""
    kan = make_kan()
    with torch.no_grad():
        getattr(kan.layers[1], name).flatten()[0] = value
    with pytest.raises(LoweringError, match=rf"layer 1: .*{name} .*not finite"):
        lower(kan)


def test_knots_that_meet_are_refused(make_kan: Callable[..., KAN]) -> None:
    """Knots that coincide, in the network or after rounding to float32, are refused with layer and feature."""
    kan = make_kan(uneven=True)
    knots = kan.layers[0].knots
    assert knots is not None
    close = knots[1, 4] * (1 + 1e-12)
    for value in (knots[1, 4].clone(), close):
        knots[1, 5] = value
        with pytest.raises(LoweringError, match=r"layer 0: .*feature 1 .*increasing"):
            lower(kan)
    narrow = KAN(KANConfig((1, 2, 1), hidden_domain=(1e6, 1e6 + 0.1)), dtype=torch.float64)
    with pytest.raises(LoweringError, match="layer 1: knots"):
        lower(narrow)


@pytest.mark.parametrize("degree", [0, 6])
def test_degrees_that_no_strategy_knows_are_refused(make_kan: Callable[..., KAN], degree: int) -> None:
    """Degrees outside 1 to 5 are refused."""
    kan = make_kan(grid_size=9)
    kan.layers[1].degree = degree
    with pytest.raises(LoweringError, match=f"degree is {degree}"):
        lower(kan)


@pytest.mark.parametrize("tolerance", [0.0, -1e-5, np.nan, np.inf])
def test_a_tolerance_that_is_none_is_refused(make_kan: Callable[..., KAN], tolerance: float) -> None:
    """A tolerance of zero, below zero, NaN or infinity is refused."""
    with pytest.raises(LoweringError, match=r"tolerance is .*above 0"):
        lower(make_kan(), tolerance=tolerance)


@pytest.mark.parametrize("tune_for", [(0,), (1, -3)])
def test_no_rows_cannot_be_tuned_for(make_kan: Callable[..., KAN], tune_for: tuple[int, ...]) -> None:
    """A batch size below one row is refused."""
    with pytest.raises(LoweringError, match="tune_for"):
        lower(make_kan(), tune_for=tune_for)


def test_a_tolerance_that_nothing_meets_is_refused_with_the_best_error(make_kan: Callable[..., KAN]) -> None:
    """The layer, the strategy that came nearest, how far off it is and where."""
    kan = make_kan((3, 2), dtype=torch.float32)
    candidates = lower(kan, tune_for=()).report.layers[0].candidates
    best = min(candidates, key=lambda candidate: candidate.max_relative_error)
    told = f"layer 0: .*{best.strategy}, .*{best.max_relative_error:.2g} .*{best.region}"
    with pytest.raises(LoweringError, match=told):
        lower(kan, tolerance=1e-12)


def test_a_grid_that_none_of_the_strategies_can_write_is_refused(make_kan: Callable[..., KAN]) -> None:
    """The closed form alone cannot serve uneven knots: the layer and what was tried."""
    only: tuple[Strategy, ...] = (ClosedForm(),)
    kan = make_kan(dtype=torch.float32)
    second = kan.layers[1]
    kan = KAN.of_layers([kan.layers[0], replace_knots(second, second.all_knots() * 1.01)])
    with pytest.raises(LoweringError, match="layer 1: none of closed_form"):
        lower(kan, strategies=only)
    assert lower(kan, tune_for=(), strategies=(*only, CoxDeBoor())).strategies == ("closed_form", "cox_de_boor")


@pytest.mark.parametrize("width", [1e-9, 1e-3, 1e3, 1e9])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
def test_domains_of_any_size_are_lowered(width: float, outside: Outside) -> None:
    """Fifth powers of them may be too small or too large for float32: those strategies are dropped, others remain."""
    kan = KAN(KANConfig((2, 2), degree=5, outside=outside, domain=(0.0, width)))
    lowered = lower(kan, tune_for=())
    errors = {c.strategy: c.max_relative_error for c in lowered.report.layers[0].candidates}
    assert errors["closed_form"] < 1e-5
    assert (errors["segments_5"] == np.inf) == (width in (1e-9, 1e9))

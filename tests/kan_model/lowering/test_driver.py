"""The choice among strategies: by errors, by time, and what is refused."""

import copy
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.grid import replace_knots
from kan_model.layer import Outside
from kan_model.lowering import LoweringError, lower
from kan_model.lowering.closed_form import ClosedForm
from kan_model.lowering.cox_de_boor import CoxDeBoor
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.network import predicting_model
from kan_model.lowering.pieces import Pieces
from kan_model.lowering.reference import Reference
from kan_model.lowering.strategy import Strategy
from kan_model.lowering.truncated_powers import TruncatedPowers
from kan_model.onnx_runtime import open_session, run
from kan_model.transform import Affine, InputTransform

BLOCKS = (16, 32, 64, 128, 256, 512, 1024)


@pytest.fixture
def mixed_kan(make_kan: Callable[..., KAN]) -> KAN:
    """A fine uneven grid and then a coarse uniform one: no dense strategy is best for both."""
    first = make_kan((3, 4), grid_size=64, uneven=True, dtype=torch.float32)
    second = make_kan((4, 2), grid_size=4, dtype=torch.float32)
    return KAN.of_layers([*first.layers, *second.layers])


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("uneven", [False, True])
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
    """Both models, and the report."""
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


def test_a_candidate_beyond_the_tolerance_is_told_and_never_kept(make_kan: Callable[..., KAN]) -> None:
    """Radial powers on 20 intervals of random coefficients: first in order, and too far off."""
    kan = make_kan((4, 2), grid_size=20, dtype=torch.float32)
    for tune_for in ((), (1,)):
        lowered = lower(kan, tune_for=tune_for)
        (layer,) = lowered.report.layers
        (powers,) = (c for c in layer.candidates if c.strategy == "radial_powers")
        assert powers.max_relative_error > 1e-5
        assert powers.region != "nowhere"
        assert not powers.seconds
        assert layer.strategy != "radial_powers"
        assert layer.candidates[0].max_relative_error <= 1e-5
    assert "too far off" in str(lowered.report)
    assert lower(kan, tune_for=(), tolerance=0.5).strategies == ("radial_powers",)


def test_what_is_tuned_is_timed_and_fastest_first(make_kan: Callable[..., KAN]) -> None:
    """Every candidate within the tolerance at every number of rows; the kept one leads, as fast as the fastest."""
    kan = make_kan((3, 2), grid_size=6, dtype=torch.float32)
    lowered = lower(kan, tune_for=(1, 40))
    (layer,) = lowered.report.layers
    assert {c.strategy for c in layer.candidates} == {s.name for s in STRATEGIES if s.applies(kan.layers[0])}
    means = []
    for candidate in layer.candidates:
        assert (candidate.max_relative_error <= 1e-5) == (list(candidate.seconds) == [1, 40])
        assert all(seconds > 0 for seconds in candidate.seconds.values())
        means += [np.sqrt(np.prod(list(candidate.seconds.values())))] if candidate.seconds else []
    assert layer.candidates[0].strategy == layer.strategy
    assert means[0] <= 1.04 * min(means)
    assert lowered.preferred_rows in BLOCKS
    for word in ("layer 0", layer.strategy, "kept", "µs", "40:"):
        assert word in str(lowered.report)


def test_layers_take_strategies_of_their_own(mixed_kan: KAN) -> None:
    """Truncated powers do not reach the first layer's 64 intervals, and need no grid in the second."""
    lowered = lower(mixed_kan, tune_for=(), strategies=(TruncatedPowers(), Pieces()), tolerance=1e-4)
    assert lowered.strategies == ("pieces", "truncated_powers")
    assert [len(layer.candidates) for layer in lowered.report.layers] == [1, 2]
    rows = np.random.default_rng(0).uniform(-2, 2, (50, 3)).astype(np.float32)
    with torch.no_grad():
        expected = copy.deepcopy(mixed_kan).double()(torch.from_numpy(rows).double()).numpy()
    np.testing.assert_allclose(run(lowered.model, rows), expected, atol=1e-3)


def test_errors_that_add_up_make_layers_more_exact(make_kan: Callable[..., KAN]) -> None:
    """Each layer's first choice is within the tolerance by itself, all together are not: the worst takes its next one.

    The next that is enough, not the most exact, which may be many times slower; the other layers keep what is first.
    """
    kan = make_kan((3, 4, 4, 2), grid_size=8, dtype=torch.float32, seed=1)
    loose = lower(kan, tune_for=(), tolerance=1.0)
    assert set(loose.strategies) == {"radial_powers"}
    alone = [layer.candidates[0].max_relative_error for layer in loose.report.layers]
    between = (max(alone) + loose.report.max_relative_error) / 2
    assert max(alone) < between < loose.report.max_relative_error
    tight = lower(kan, tune_for=(), tolerance=between)
    assert tight.report.max_relative_error <= between
    assert tight.strategies == ("radial_powers_monomials", "radial_powers", "radial_powers")


def test_whatever_the_tolerance_the_whole_network_is_within_it(make_kan: Callable[..., KAN]) -> None:
    """Also where no single layer's exchange is enough."""
    kan = make_kan((3, 4, 4, 2), grid_size=8, dtype=torch.float32)
    for tolerance in np.geomspace(3e-6, 3e-4, 12):
        assert lower(kan, tune_for=(), tolerance=float(tolerance)).report.max_relative_error <= tolerance


def test_errors_are_those_on_training_rows_too(make_kan: Callable[..., KAN]) -> None:
    """On a thousandth of the range the same error is a thousand times as large, and nothing is good enough."""
    kan = make_kan((2, 1), dtype=torch.float32)
    rows = np.full((2, 2), 0.25, np.float32)
    rows[1] += 1e-4
    with pytest.raises(LoweringError, match="layer 0: no strategy is within the tolerance"):
        lower(kan, tune_for=(), training_rows=rows)
    assert lower(kan, tune_for=(), training_rows=rows, scale=np.array([1.0])).report.max_relative_error < 1e-5


@pytest.mark.parametrize("name", ["base_weight", "coefficients", "edge_mask", "domain"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(make_kan: Callable[..., KAN], name: str, value: float) -> None:
    """The layer, what, and how many."""
    kan = make_kan()
    with torch.no_grad():
        getattr(kan.layers[1], name).flatten()[0] = value
    with pytest.raises(LoweringError, match=rf"layer 1: 1 of \d+ numbers in {name} are not finite"):
        lower(kan)


def test_knots_that_meet_are_refused(make_kan: Callable[..., KAN]) -> None:
    """In the network, or once float32 has rounded them; the layer and the feature are named."""
    kan = make_kan(uneven=True)
    knots = kan.layers[0].knots
    assert knots is not None
    close = knots[1, 4] * (1 + 1e-12)
    for value in (knots[1, 4].clone(), close):
        knots[1, 5] = value
        with pytest.raises(LoweringError, match=r"layer 0: knots of feature 1 .*strictly increasing"):
            lower(kan)
    narrow = KAN(KANConfig((1, 2, 1), hidden_domain=(1e6, 1e6 + 0.1)), dtype=torch.float64)
    with pytest.raises(LoweringError, match="layer 1: knots of feature 0"):
        lower(narrow)


@pytest.mark.parametrize("degree", [0, 6])
def test_degrees_that_no_strategy_knows_are_refused(make_kan: Callable[..., KAN], degree: int) -> None:
    """Degree 1 to 5."""
    kan = make_kan(grid_size=9)
    kan.layers[1].degree = degree
    with pytest.raises(LoweringError, match=f"layer 1: degree is {degree}; wanted 1 to 5"):
        lower(kan)


@pytest.mark.parametrize("tolerance", [0.0, -1e-5, np.nan, np.inf])
def test_a_tolerance_that_is_none_is_refused(make_kan: Callable[..., KAN], tolerance: float) -> None:
    """Zero, a negative number, NaN, infinity."""
    with pytest.raises(LoweringError, match=r"tolerance is .*; wanted a number above 0"):
        lower(make_kan(), tolerance=tolerance)


@pytest.mark.parametrize("tune_for", [(0,), (1, -3)])
def test_no_rows_cannot_be_tuned_for(make_kan: Callable[..., KAN], tune_for: tuple[int, ...]) -> None:
    """One row or more."""
    with pytest.raises(LoweringError, match=r"tune_for is .*wanted numbers of rows, 1 or more"):
        lower(make_kan(), tune_for=tune_for)


def test_a_tolerance_that_nothing_meets_is_refused_with_the_best_error(make_kan: Callable[..., KAN]) -> None:
    """The layer, the strategy that came nearest, how far off it is and where."""
    kan = make_kan((3, 2), dtype=torch.float32)
    candidates = lower(kan, tune_for=()).report.layers[0].candidates
    best = min(candidates, key=lambda candidate: candidate.max_relative_error)
    with pytest.raises(LoweringError) as refused:
        lower(kan, tolerance=1e-12)
    assert str(refused.value) == (
        f"layer 0: no strategy is within the tolerance 1e-12; the best, {best.strategy}, is off by "
        f"{best.max_relative_error:.2g} of the output's range ({best.region})"
    )


def test_the_layer_that_is_off_by_itself_is_blamed() -> None:
    """Of a straight line and a fine grid far from zero, the latter, in either order."""
    straight = KAN(KANConfig((3, 3), grid_size=1, degree=1, domain=(-1, 1))).layers[0]
    fine = KAN(KANConfig((3, 3), grid_size=50, degree=5, domain=(10, 11), noise=1.0)).layers[0]
    for index, layers in ((1, [straight, fine]), (0, [fine, straight])):
        with pytest.raises(LoweringError, match=f"layer {index}: no strategy is within the tolerance 1e-09"):
            lower(KAN.of_layers(layers), tolerance=1e-9)


def test_layers_that_need_their_most_exact_strategies_together_get_them() -> None:
    """A network is refused only where no combination is within the tolerance."""
    config = KANConfig((3, 4, 2), grid_size=10, degree=5, outside="decay", domain=(100, 101), hidden_domain=(100, 101))
    kan = KAN(config, seed=0)
    strategies: tuple[Strategy, ...] = (ClosedForm(), CoxDeBoor(), Pieces())
    reference = Reference(kan, rows_per_region=256)
    errors = {
        names: reference.compare(predicting_model(kan, None, None, names)).max_relative_error
        for names in product(strategies, repeat=2)
    }
    best = min(errors.values())
    lowered = lower(kan, tolerance=best * 1.001, tune_for=(), strategies=strategies)
    assert lowered.report.max_relative_error <= best * 1.001


def test_a_grid_that_none_of_the_strategies_can_write_is_refused(make_kan: Callable[..., KAN]) -> None:
    """The closed form alone cannot serve uneven knots: the layer and what was tried."""
    only: tuple[Strategy, ...] = (ClosedForm(),)
    kan = make_kan(dtype=torch.float32)
    second = kan.layers[1]
    kan = KAN.of_layers([kan.layers[0], replace_knots(second, second.all_knots() * 1.01)])
    with pytest.raises(LoweringError, match="layer 1: none of closed_form can write its grids"):
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

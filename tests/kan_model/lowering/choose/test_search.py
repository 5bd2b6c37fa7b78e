"""The choice of each layer's strategy: by error, by time, and for the whole network."""

import copy
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.lowering import LoweringError, lower
from kan_model.lowering.checks.reference import Comparison, Reference
from kan_model.lowering.choose.search import Search, combine, screen
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.lowering.strategies.pieces import Pieces
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.lowering.strategies.truncated_powers import TruncatedPowers
from kan_model.onnx_runtime import run

BLOCKS = (16, 32, 64, 128, 256, 512, 1024)


@pytest.fixture
def mixed_kan(make_kan: Callable[..., KAN]) -> KAN:
    """A fine uneven grid and then a coarse uniform one: no dense strategy is best for both."""
    first = make_kan((3, 4), grid_size=64, uneven=True, dtype=torch.float32)
    second = make_kan((4, 2), grid_size=4, dtype=torch.float32)
    return KAN.of_layers([*first.layers, *second.layers])


def test_a_candidate_beyond_the_tolerance_is_told_and_never_kept(make_kan: Callable[..., KAN]) -> None:
    """Radial powers on 20 intervals of random coefficients come first in order, but exceed the tolerance: not kept."""
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
    assert tight.strategies == ("truncated_powers", "radial_powers", "radial_powers")


@pytest.mark.slow
def test_whatever_the_tolerance_the_whole_network_is_within_it(make_kan: Callable[..., KAN]) -> None:
    """Also where no single layer's exchange is enough; and no layer could keep what stands before its own."""
    kan = make_kan((3, 4, 4, 2), grid_size=8, dtype=torch.float32, seed=1)
    reference = Reference(kan, rows_per_region=256)
    by_name = {strategy.name: strategy for strategy in STRATEGIES}
    loose = lower(kan, tune_for=(), tolerance=1.0).report
    alone = max(layer.candidates[0].max_relative_error for layer in loose.layers)
    # Between them each layer's first choice is within the tolerance, and all together are not.
    assert alone < loose.max_relative_error
    between = np.geomspace(alone, loose.max_relative_error, 5)[1:-1]
    could_not_keep = 0
    for tolerance in (*np.geomspace(3e-6, 1e-4, 4), *between):
        lowered = lower(kan, tune_for=(), tolerance=float(tolerance))
        assert lowered.report.max_relative_error <= tolerance
        kept = [by_name[name] for name in lowered.strategies]
        for index, strategy in enumerate(kept):
            within = {c.strategy for c in lowered.report.layers[index].candidates if c.max_relative_error <= tolerance}
            for before in STRATEGIES[: STRATEGIES.index(strategy)]:
                other = [*kept[:index], before, *kept[index + 1 :]]
                if before.name in within:
                    model = predicting_model(kan, None, None, other)
                    assert reference.compare(model).max_relative_error > tolerance
                    could_not_keep += 1
    assert could_not_keep >= len(between)


def test_the_layer_that_is_off_by_itself_is_blamed() -> None:
    """Of a straight line and a fine grid far from zero the message names the latter, in either order."""
    straight = KAN(KANConfig((3, 3), grid_size=1, degree=1, domain=(-1, 1))).layers[0]
    fine = KAN(KANConfig((3, 3), grid_size=50, degree=5, domain=(10, 11), noise=1.0)).layers[0]
    for index, layers in ((1, [straight, fine]), (0, [fine, straight])):
        with pytest.raises(LoweringError, match=f"layer {index}: no strategy"):
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


GIVEN: tuple[Strategy, ...] = (ClosedForm(), Pieces(), CoxDeBoor())


def search_with(errors: dict[tuple[str, ...], float]) -> Search:
    """A search that has found these errors of combinations of GIVEN, and 20 of each other one."""
    (layers,) = {len(names) for names in errors}
    kan = KAN(KANConfig((1,) * (layers + 1), grid_size=3))
    search = Search(kan, None, None, "float32", Reference(kan, rows_per_region=4))
    for names in product([each.name for each in GIVEN], repeat=layers):
        error = errors.get(names, 20.0)
        search._found[names] = Comparison(error, error, "inside", 1)
    return search


@pytest.mark.parametrize(
    "way",
    [
        {(CoxDeBoor.name,): 10.0, (ClosedForm.name,): 0.5},
        {
            (CoxDeBoor.name, CoxDeBoor.name): 10.0,
            (ClosedForm.name, CoxDeBoor.name): 9.0,
            (ClosedForm.name, Pieces.name): 8.0,
            (Pieces.name, Pieces.name): 0.5,
        },
    ],
    ids=["one layer", "two layers"],
)
def test_the_screening_ends_with_a_combination_that_it_found(way: dict[tuple[str, ...], float]) -> None:
    """Also where one layer changes twice, after the other one did. The errors of all combinations are given."""
    *_, end = way
    found = screen(search_with(way), [GIVEN] * len(end), 1.0)
    assert tuple(options[0].strategy.name for options in found) == end
    assert all([option.is_within for option in options] == [True, False, False] for options in found)


def test_most_exact_options_that_are_too_far_off_together_are_not_taken_together() -> None:
    """One layer keeps what it had while the other one's options were tried. The errors are given."""
    closed, recursion = ClosedForm.name, CoxDeBoor.name
    search = search_with(
        {(recursion, recursion): 0.5, (closed, recursion): 0.4, (recursion, closed): 0.4, (closed, closed): 5.0}
    )
    chosen, error = combine(search, screen(search, [GIVEN] * 2, 1.0), 1.0)
    assert tuple(option.strategy.name for option in chosen) == (closed, recursion)
    assert error == 0.4

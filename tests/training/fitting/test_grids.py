"""With [adapt] grids follow the rows before each stage; the fit still keeps the best network."""

import copy
import math

import pytest
import torch

from kan_model import KAN, KANConfig, refine_grid
from training.data.samples import Samples
from training.errors import FitRefused
from training.fitting.fit import FitState, begin, fit_steps
from training.fitting.grids import first_grid, next_grid, parameters_on
from training.recipe.fit_sections import AdaptSection, FitSection

ADAPT = AdaptSection()
PLANS = [
    FitSection(optimizer="adam", grids=(3, 5), steps=4, batch_rows=64),
    FitSection(optimizer="lbfgs", grids=(3, 5), steps=20),
    FitSection(optimizer="levenberg-marquardt", grids=(3, 5), steps=4),
]


def skewed(rows: int, seed: int) -> Samples:
    """A lognormal number, scaled to [-1, 1] as minmax does, and a uniform one; the target goes by the logarithm."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, 1, generator=generator, dtype=torch.float64).clamp(-2.5, 2.5)
    x = torch.rand(rows, 1, generator=generator, dtype=torch.float64) * 2 - 1
    low, high = math.exp(-2.5), math.exp(2.5)
    return Samples(torch.cat([2 * (z.exp() - low) / (high - low) - 1, x], dim=1), torch.sin(2 * z) + x**2)


def network(width: tuple[int, ...] = (2, 4, 1)) -> KAN:
    """Fresh, on grids of 3 intervals."""
    return KAN(KANConfig(width, grid_size=3), dtype=torch.float64)


def run(plan: FitSection, adapt: AdaptSection | None, width: tuple[int, ...] = (2, 4, 1)) -> FitState:
    """A whole fit as the pipeline does it."""
    train = skewed(300, 0)
    *_, state = fit_steps(
        begin(network(width), plan, train, adapt), train, skewed(150, 1), plan, "regression", adapt=adapt
    )
    return state


def test_first_the_grids_of_inputs_move_then_all() -> None:
    """Knots of the inputs are the rows' quantiles from the start; hidden domains cover what reaches them later."""
    rows = skewed(1000, 0).x
    start = first_grid(network(), 4, rows, AdaptSection(uniform_share=0, margin=0))
    knots = start.layers[0].all_knots()[0, 3:-3]
    torch.testing.assert_close(knots, torch.quantile(rows[:, 0], torch.linspace(0, 1, 5).double()), atol=0.01, rtol=0.1)
    torch.testing.assert_close(start.layers[1].domain, network().layers[1].domain)
    later = next_grid(start, 8, rows, ADAPT)
    with torch.no_grad():
        hidden = start.layers[0](rows)
    low, high = later.layers[1].domain.T
    width = hidden.amax(dim=0) - hidden.amin(dim=0)
    torch.testing.assert_close(low, hidden.amin(dim=0) - 0.01 * width)
    torch.testing.assert_close(high, hidden.amax(dim=0) + 0.01 * width)
    assert [layer.grid_size for layer in later.layers] == [8, 8]


def test_grids_follow_rows_of_the_whole_table() -> None:
    """Of more rows than grids follow, every step-th counts: a table in time order ends elsewhere than it begins."""
    rows = torch.linspace(-1, 1, 10_001, dtype=torch.float64).unsqueeze(1).expand(-1, 2)
    grown = first_grid(network(), 4, rows, AdaptSection(uniform_share=0, margin=0)).layers[0]
    wanted = torch.tensor([[-1.0, 1.0]] * 2, dtype=torch.float64)
    torch.testing.assert_close(grown.domain, wanted, atol=1e-3, rtol=0)
    torch.testing.assert_close(grown.all_knots()[:, 5], torch.zeros(2, dtype=torch.float64), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("share", "middle"), [(0.0, 0.99 * 0.25 + 0.01 * 0.5), (1.0, 0.5)])
def test_a_recipes_margin_and_share_are_those_of_the_grid(share: float, middle: float) -> None:
    """The median of squares from 0 to 1 is 1/4, of which 1 % goes to the even grid; a share of 1 is the even grid."""
    rows = (torch.linspace(0, 1, 1001, dtype=torch.float64) ** 2).unsqueeze(1).expand(-1, 2)
    adapt = AdaptSection(uniform_share=share, margin=0.25)
    grown = next_grid(first_grid(network((2, 1)), 4, rows, adapt), 4, rows, adapt).layers[0]
    torch.testing.assert_close(grown.domain, torch.tensor([[-0.25, 1.25]] * 2, dtype=torch.float64))
    torch.testing.assert_close(grown.all_knots()[0, 5], torch.tensor(middle, dtype=torch.float64), atol=1e-3, rtol=0)


def test_without_the_section_grids_are_refined_only() -> None:
    """The same network as ``refine_grid`` gives, to the bit."""
    rows, kan = skewed(50, 0).x, network()
    for step in (first_grid, next_grid):
        found, refined = step(kan, 6, rows, None).state_dict(), refine_grid(kan, 6).state_dict()
        assert found.keys() == refined.keys()
        assert all(torch.equal(found[name], refined[name]) for name in refined)


@pytest.mark.parametrize("adapt", [None, ADAPT])
def test_hidden_layers_may_keep_their_grids(adapt: AdaptSection | None) -> None:
    """Those of the inputs get finer, and the layers behind stay as they are, to the bit."""
    rows, kan = skewed(50, 0).x, network()
    for step in (first_grid, next_grid):
        found = step(kan, 6, rows, adapt, only_inputs=True)
        assert found.layers[0].grid_size == 6
        assert found.layers[0].coefficients.shape == refine_grid(kan, 6).layers[0].coefficients.shape
        wanted = kan.layers[1].state_dict()
        assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.layers[1].state_dict().items())


def test_a_skewed_input_is_met_better() -> None:
    """Most rows lie in the first of even intervals: knots among them leave a tenth of the error on rows never seen."""
    test, plan = skewed(1000, 2), FitSection(optimizer="levenberg-marquardt", grids=(5, 10), steps=10)
    errors = []
    for adapt in (None, ADAPT):
        with torch.no_grad():
            errors.append(float((run(plan, adapt, (2, 1)).best(test.x) - test.y).square().mean()))
    assert errors[1] < errors[0] / 10


@pytest.mark.parametrize("plan", PLANS)
def test_the_best_is_the_best_although_grids_moved(plan: FitSection) -> None:
    """What an adaptation does to the answers is not taken for a step: the network kept has the lowest loss told."""
    state, validation = run(plan, ADAPT), skewed(150, 1)
    with torch.no_grad():
        kept = float((state.best(validation.x) - validation.y).square().mean())
    assert kept == pytest.approx(min(record.validation_loss for record in state.history), rel=1e-12)
    assert kept == state.best_loss


def test_a_second_grid_that_does_harm_is_not_kept() -> None:
    """If the second grid only makes the loss worse, the network of the first grid is kept."""
    train, validation = skewed(300, 0), skewed(150, 1)
    plan = FitSection(optimizer="adam", grids=(12,), steps=60, learning_rate=0.05)
    state = begin(network(), plan, train, ADAPT)
    for _ in fit_steps(state, train, validation, plan, "regression", adapt=ADAPT):
        pass
    best, lowest = copy.deepcopy(state.best), state.best_loss
    worse = plan.model_copy(update={"grids": (12, 13), "steps": 1, "learning_rate": 1e-9})
    state.stage, state.step, state.kan = 1, 0, next_grid(best, 13, train.x[:8], AdaptSection(margin=3.0))
    for _ in fit_steps(state, train, validation, worse, "regression", adapt=ADAPT):
        pass
    assert state.history[-1].grid_size == 13
    assert state.history[-1].validation_loss > lowest
    assert (state.best_loss, state.best.layers[0].grid_size) == (lowest, 12)


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("stop_after", [2, 3, 5])
def test_it_is_gone_on_with_to_the_bit(plan: FitSection, stop_after: int) -> None:
    """A fit stopped between steps or just after an adaptation continues with the same bits."""
    train, validation, through = skewed(300, 0), skewed(150, 1), run(plan, ADAPT)
    steps = fit_steps(begin(network(), plan, train, ADAPT), train, validation, plan, "regression", adapt=ADAPT)
    for _ in range(stop_after):
        state = copy.deepcopy(next(steps))
    for _ in fit_steps(state, train, validation, plan, "regression", adapt=ADAPT):
        pass
    assert state.history == through.history
    assert all(torch.equal(a, b) for a, b in zip(state.best.parameters(), through.best.parameters(), strict=True))


def test_what_cannot_be_followed_is_said() -> None:
    """Rows to follow are missing or too few."""
    with pytest.raises(FitRefused, match=r"before grid 3: .*\(1, 2\)"):
        first_grid(network(), 3, torch.zeros(1, 2), ADAPT)
    with pytest.raises(ValueError, match="adapt without train"):
        begin(network(), PLANS[0], adapt=ADAPT)


def test_parameters_are_counted_before_they_are_there() -> None:
    """As many as the refined network has."""
    assert parameters_on(network(), 12) == sum(p.numel() for p in refine_grid(network(), 12).parameters())

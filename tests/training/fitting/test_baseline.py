"""The baseline MLP: its size, and that the KAN's own loop trains it."""

import itertools
import math

import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, r2_score
from torch import Tensor, nn

from kan_model import KAN, KANConfig, parameter_count
from training.data.samples import Samples
from training.errors import TrainingError
from training.fitting.baseline import Activation, fit_baseline, mlp_like
from training.fitting.fit import fit, fit_module
from training.recipe.fit_sections import FitSection

LBFGS = FitSection(optimizer="lbfgs", grids=(5,), steps=150)
ADAM = FitSection(optimizer="adam", grids=(5,), steps=100, batch_rows=32, learning_rate=0.01)


def sine(rows: int, seed: int, dtype: torch.dtype = torch.float32) -> Samples:
    """Samples of sin(x) on [-π, π]."""
    x = (2 * torch.rand(rows, 1, dtype=dtype, generator=torch.Generator().manual_seed(seed)) - 1) * math.pi
    return Samples(x, torch.sin(x))


def linears(network: nn.Sequential) -> list[nn.Linear]:
    """The layers with weights."""
    return [module for module in network if isinstance(module, nn.Linear)]


def same(first: nn.Module, second: nn.Module) -> bool:
    """Whether all parameters have the same bits."""
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def counts(inputs: int, hidden: tuple[int, ...], outputs: int) -> int:
    """Weights and biases of a plain MLP."""
    return sum((a + 1) * b for a, b in itertools.pairwise((inputs, *hidden, outputs)))


@pytest.mark.parametrize("width", [(1, 1), (2, 5, 1), (64, 32, 10), (10, 1), (4, 4, 2, 1), (30, 2)])
@pytest.mark.parametrize("grid_size", [20, 200])
@pytest.mark.parametrize("depth", [1, 2])
def test_an_mlp_has_the_kans_parameters_within_5_percent(width: tuple[int, ...], grid_size: int, depth: int) -> None:
    """Of a KAN that is not tiny; inputs, outputs and activations are as asked."""
    kan = KAN(KANConfig(width, grid_size=grid_size))
    wanted = sum(a * b * (grid_size + 4) for a, b in itertools.pairwise(width))
    mlp = mlp_like(kan, depth)
    layers = linears(mlp)
    assert parameter_count(kan) == wanted
    assert parameter_count(mlp) == counts(width[0], tuple(each.out_features for each in layers[:-1]), width[-1])
    assert parameter_count(mlp) == pytest.approx(wanted, rel=0.05)
    assert (layers[0].in_features, layers[-1].out_features) == (width[0], width[-1])
    assert [type(module) for module in mlp] == [nn.Linear, nn.SiLU] * depth + [nn.Linear]


@pytest.mark.parametrize("width", [(1, 1), (2, 1), (3, 2, 1), (8, 3), (12, 1)])
@pytest.mark.parametrize("grid_size", [1, 3, 5, 12])
def test_widths_are_the_best_of_all(width: tuple[int, ...], grid_size: int) -> None:
    """Of all pairs of widths the most equal within 5 % is taken; if none is within 5 %, the nearest."""
    kan = KAN(KANConfig(width, grid_size=grid_size))
    wanted = parameter_count(kan)

    def rank(hidden: tuple[int, ...]) -> tuple[float, ...]:
        error = abs(counts(width[0], hidden, width[-1]) - wanted) / wanted
        apart = hidden[0] - hidden[-1]
        return (0, abs(apart), error) if error <= 0.05 else (1, error, abs(apart))

    for depth in (1, 2):
        found = tuple(layer.out_features for layer in linears(mlp_like(kan, depth))[:-1])
        every = itertools.product(range(1, 60), repeat=depth)
        assert rank(found) == min(map(rank, every))


def test_two_hidden_layers_are_nearly_alike_for_204_parameters() -> None:
    """[12, 12] has 193 and [13, 13] has 222; [12, 13] has 207."""
    layers = linears(mlp_like(KAN(KANConfig((1, 1), grid_size=200))))
    assert sorted((layers[0].out_features, layers[1].out_features)) == [12, 13]


def test_a_kan_without_room_gets_the_smallest_mlp() -> None:
    """5 parameters are fewer than any MLP of two hidden layers has."""
    kan = KAN(KANConfig((1, 1), grid_size=1))
    assert parameter_count(kan) == 5
    assert [parameter_count(mlp_like(kan, depth)) for depth in (1, 2)] == [4, 6]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_first_weights_are_those_of_a_linear_layer_and_follow_the_seed(dtype: torch.dtype) -> None:
    """Uniform within 1/√inputs; the same seed, the same network, and torch's own generator is not drawn from."""
    kan = KAN(KANConfig((64, 32, 10)), dtype=dtype)
    state = torch.get_rng_state()
    first, second, other = mlp_like(kan, seed=1), mlp_like(kan, seed=1), mlp_like(kan, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert same(first, second)
    assert not same(first, other)
    for layer in linears(first):
        assert layer.weight.dtype == dtype
        bound = 1 / math.sqrt(layer.in_features)
        assert 0.99 * bound < layer.weight.abs().max() <= bound
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("activation", ["silu", "relu"])
@pytest.mark.parametrize("plan", [LBFGS, ADAM])
def test_it_learns_a_sine(plan: FitSection, activation: Activation, depth: int) -> None:
    """R² above 0.99 on rows never seen, by scikit-learn; what is reported is what it says."""
    kan = KAN(KANConfig((1, 5, 1)))
    test = sine(500, 2)
    found = fit_baseline(
        kan, sine(300, 0), sine(100, 1), plan, "regression", judging=test, depth=depth, activation=activation
    )
    with torch.no_grad():
        answers = found.network(test.x)
    assert r2_score(test.y, answers) > 0.99
    assert found.score == pytest.approx(r2_score(test.y, answers), abs=1e-5)
    assert found.loss == pytest.approx(float((answers - test.y).square().mean()), rel=1e-5)
    assert found.parameters == parameter_count(found.network)
    assert isinstance(found.network[1], nn.SiLU if activation == "silu" else nn.ReLU)


@pytest.mark.slow
def test_classes_are_learned_too() -> None:
    """A circle; accuracy and cross entropy on the validation rows, by scikit-learn."""

    def circle(rows: int, seed: int) -> Samples:
        x = torch.rand(rows, 2, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        return Samples(x, (x.square().sum(dim=1) > 0.6).long())

    validation = circle(300, 1)
    found = fit_baseline(KAN(KANConfig((2, 5, 2))), circle(1000, 0), validation, ADAM, "classification")
    with torch.no_grad():
        probabilities = torch.softmax(found.network(validation.x).double(), dim=1)
    assert found.score > 0.97
    assert found.score == accuracy_score(validation.y, probabilities.argmax(dim=1))
    assert found.loss == pytest.approx(log_loss(validation.y, probabilities), rel=1e-4)


@pytest.mark.parametrize("plan", [LBFGS, ADAM])
def test_a_seed_makes_it_repeatable_and_all_grids_steps_are_its_own(plan: FitSection) -> None:
    """Twice the same network to the bit; an MLP has no grid to refine, so it goes on for the steps of all."""
    plan = plan.model_copy(update={"steps": 10, "grids": (3, 5), "seed": 3})
    kan = KAN(KANConfig((1, 5, 1)))
    first, second = (fit_baseline(kan, sine(50, 0), sine(20, 1), plan, "regression") for _ in range(2))
    assert same(first.network, second.network)
    assert first.history == second.history
    assert first.history[-1].step == 20
    other = fit_baseline(kan, sine(50, 0), sine(20, 1), plan.model_copy(update={"seed": 4}), "regression")
    assert not same(first.network, other.network)


@pytest.mark.parametrize("plan", [LBFGS, ADAM])
def test_any_module_goes_through_the_kans_own_loop(plan: FitSection) -> None:
    """A KAN that is fitted as any module ends where `fit` ends on one grid, to the bit; the one given stays."""
    plan = plan.model_copy(update={"steps": 20})
    kan, untouched = KAN(KANConfig((1, 3, 1))), KAN(KANConfig((1, 3, 1)))
    train, validation = sine(60, 0), sine(30, 1)
    found = fit_module(kan, train, validation, plan, "regression")
    state = fit(kan, train, validation, plan, "regression")
    assert same(found.best, state.best)
    assert [record.validation_loss for record in found.history[1:]] == [each.validation_loss for each in state.history]
    assert found.history[0].step == 0
    assert same(kan, untouched)


class Frozen(nn.Module):
    """a + b·x, of which only a is to be learned."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(1))
        self.b = nn.Parameter(torch.full((1,), 0.7), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """[rows, 1]."""
        return self.a + self.b * x


def test_parameters_that_want_no_gradient_stay() -> None:
    """The constant becomes the mean of what is left."""
    samples = Samples(sine(50, 0).x, sine(50, 0).x + 1)
    best = fit_module(Frozen(), samples, samples, LBFGS, "regression").best
    assert best.b.item() == pytest.approx(0.7)
    assert best.a.item() == pytest.approx((1 + 0.3 * samples.x).mean().item(), abs=1e-5)


def test_a_start_that_is_worse_nowhere_is_kept() -> None:
    """Validation rows that the network meets already: no step is better."""
    mlp = mlp_like(KAN(KANConfig((1, 5, 1))))
    with torch.no_grad():
        met = Samples(sine(50, 1).x, mlp(sine(50, 1).x))
    assert same(fit_module(mlp, sine(50, 0), met, ADAM, "regression").best, mlp)


def test_what_is_no_such_mlp_is_refused() -> None:
    """Depth, activation, and a start that is not finite."""
    kan = KAN(KANConfig((1, 1)))
    with pytest.raises(ValueError, match="depth is 3"):
        mlp_like(kan, 3)
    with pytest.raises(ValueError, match="activation is 'tanh'"):
        mlp_like(kan, activation="tanh")  # type: ignore[arg-type]
    endless = Samples(sine(5, 0).x, torch.full((5, 1), 1e30))
    with pytest.raises(TrainingError, match="before the first step"):
        fit_baseline(kan, endless, endless, ADAM, "regression")

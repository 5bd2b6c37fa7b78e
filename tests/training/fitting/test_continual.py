"""A further fit changes only the coefficients that the new rows touch, to the least-squares solution."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from kan_model import KAN, KANConfig, KANLayer, SymbolicEdge
from kan_model.grids.refinement import replace_knots
from kan_model.lowering import lower
from kan_model.network.layer import Outside
from kan_model.onnx_runtime import open_session
from training.data.samples import Samples
from training.errors import TrainingError
from training.fitting.continual import Continued, fit_on, touched_coefficients
from training.fitting.fit import fit
from training.recipe.fit_sections import FitSection

LBFGS = FitSection(optimizer="lbfgs", steps=60)
ADAM = FitSection(optimizer="adam", steps=40, batch_rows=16, learning_rate=0.05)


def uniform(rows: int, features: int, low: float, high: float, seed: int = 0) -> Tensor:
    """Random float64 rows."""
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(rows, features, dtype=torch.float64, generator=generator)


def waves(rows: Tensor) -> Tensor:
    """sin(2·Σx) as a column."""
    return torch.sin(2 * rows.sum(dim=1, keepdim=True))


def one_layer(
    *,
    features: int = 2,
    degree: int = 3,
    outside: Outside = "clamp",
    dtype: torch.dtype = torch.float64,
    uneven: bool = False,
) -> KAN:
    """[features, 2] on 24 intervals of [-2, 2]."""
    config = KANConfig((features, 2), grid_size=24, degree=degree, outside=outside, domain=(-2.0, 2.0), noise=0.5)
    kan = KAN(config, dtype=dtype)
    if not uneven:
        return kan
    knots = kan.layers[0].all_knots()
    return KAN.of_layers([replace_knots(kan.layers[0], knots + 0.1 * torch.sin(2 * knots))])


def every_kind_of_edge(outside: Outside = "clamp", dtype: torch.dtype = torch.float64) -> KAN:
    """[3, 4, 2] with splines, an edge that is not there, symbolic edges, biases and uneven knots."""
    kan = KAN(
        KANConfig((3, 4, 2), grid_size=12, outside=outside, domain=(-2.0, 2.0), hidden_domain=(-3, 3)), dtype=dtype
    )
    first, second = kan.layers
    knots = first.all_knots()
    first = replace_knots(first, knots + 0.1 * torch.sin(2 * knots)).changed(
        edge_mask=torch.tensor([[1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=dtype),
        symbolic=[SymbolicEdge(0, 1, "gaussian", 1.3, 0.2, 0.7, -0.1), SymbolicEdge(2, 2, "tanh", 0.3, 0.0, 0.7, 0.1)],
        bias=torch.tensor([0.1, -0.2, 0.3, 0.0], dtype=dtype),
    )
    second = second.changed(symbolic=[SymbolicEdge(1, 3, "x^2", 1.0, 0.0, 0.1, 0.0)])
    return KAN.of_layers([first, second])


def scipy_reached(layer: KANLayer, rows: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Which basis functions ``[inputs, grid_size + degree]`` are not zero for some row, by SciPy."""
    rows = torch.clamp(rows, *layer.domain.T) if layer.outside == "clamp" else rows
    reached = []
    for knots, column in zip(layer.all_knots().double().numpy(), rows.double().numpy().T, strict=True):
        elements = (BSpline(knots, row, layer.degree, extrapolate=False)(column) for row in np.eye(len(knots) - 4))
        reached.append([(np.nan_to_num(element) != 0).any() for element in elements])
    return np.array(reached)


def same_numbers(before: KAN, after: Continued) -> bool:
    """Whether all but the free coefficients are equal to the bit."""
    then, now = before.state_dict(), dict(after.kan.state_dict())
    for index, free in enumerate(after.free):
        name = f"layers.{index}.coefficients"
        now[name] = torch.where(free, then[name], now[name])
    return then.keys() == now.keys() and all(torch.equal(then[name], now[name]) for name in then)


@pytest.mark.slow
@pytest.mark.parametrize("plan", [LBFGS, ADAM])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize(
    ("degree", "outside", "dtype"),
    [
        (1, "clamp", torch.float32),
        (3, "decay", torch.float32),
        (3, "clamp", torch.float64),
        (5, "decay", torch.float64),
    ],
)
def test_one_layer_answers_rows_elsewhere_as_before_to_the_bit(
    degree: int, outside: Outside, dtype: torch.dtype, uneven: bool, plan: FitSection
) -> None:
    """A row that shares no basis function with the new rows keeps its answer, bit for bit."""
    kan = one_layer(degree=degree, outside=outside, dtype=dtype, uneven=uneven)
    new = uniform(60, 2, 1.2, 1.9)
    knots = kan.layers[0].all_knots()[0].double()
    first_touched = int((knots <= new.min()).sum()) - 1 - degree
    old = uniform(200, 2, -2.5, float(knots[first_touched]) - 1e-6, seed=1).to(dtype)
    targets = torch.cat([waves(new), new[:, :1]], dim=1)
    found = fit_on(kan, new, targets, plan=plan, old_rows=old)
    assert torch.equal(found.kan(old), kan(old))
    assert found.drift is not None
    assert found.drift.largest == found.drift.rms == 0
    before, after = ((each(new.to(dtype)) - targets).square().mean().item() for each in (kan, found.kan))
    assert after < 0.1 * before


@pytest.mark.slow
@pytest.mark.parametrize("plan", [LBFGS, ADAM])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_only_touched_coefficients_of_a_deep_network_move(
    plan: FitSection, outside: Outside, dtype: torch.dtype
) -> None:
    """Only coefficients of basis functions that SciPy finds not zero change; all other numbers keep their bits."""
    kan = every_kind_of_edge(outside, dtype)
    before = copy.deepcopy(kan.state_dict())
    new = uniform(40, 3, 0.3, 0.9).to(dtype)
    found = fit_on(kan, new, torch.cat([waves(new), new[:, :1]], dim=1), plan=plan)
    hidden = kan.layers[0](new).detach()
    for layer, reaching, free in zip(kan.layers, (new, hidden), found.free, strict=True):
        splines = layer.edge_mask.bool().numpy()
        np.testing.assert_array_equal(free.numpy(), splines[..., None] & scipy_reached(layer, reaching))
        assert 0 < free.sum() < free.numel()
    assert same_numbers(kan, found)
    assert found.history[-1].train_loss < 0.5 * found.history[0].train_loss
    assert all(torch.equal(kan.state_dict()[name], tensor) for name, tensor in before.items())
    moved = found.kan.layers[1].coefficients != kan.layers[1].coefficients
    assert moved.any()


def test_a_layer_that_is_all_symbolic_has_nothing_to_move() -> None:
    """After an all-symbolic layer (four edges x) only the splines of the next layer are fitted."""
    places = [(output, input_) for output in range(2) for input_ in range(2)]
    first = KAN(KANConfig((2, 2))).layers[0].with_symbolic([SymbolicEdge(*each, "x", 1, 0, 1, 0) for each in places])
    kan, new = KAN.of_layers([first, KAN(KANConfig((2, 1))).layers[0]]), uniform(50, 2, -0.5, 0.5).float()
    found = fit_on(kan, new, waves(new))
    assert [int(free.sum()) for free in found.free] == [0, 2 * 8]
    assert found.history[-1].validation_loss < 1e-4
    assert same_numbers(kan, found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_layer_ends_at_the_least_squares_solution(dtype: torch.dtype) -> None:
    """The touched coefficients of one edge are linear: NumPy's least squares gives the lowest loss that there is."""
    kan = one_layer(features=1, dtype=dtype)
    layer = kan.layers[0]
    new = uniform(80, 1, -0.5, 0.8).to(dtype)
    noise = torch.randn(80, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    targets = (torch.cat([waves(new), waves(new).exp()], dim=1) + 0.1 * noise).to(dtype)
    found = fit_on(kan, new, targets)
    knots, x = layer.all_knots()[0].double().numpy(), new[:, 0].double().numpy()
    design = BSpline.design_matrix(x, knots, 3).toarray()
    touched = (design != 0).any(axis=0)
    base = (x / (1 + np.exp(-x)))[:, None] * layer.base_weight[:, 0].double().detach().numpy()
    rest = targets.double().numpy() - base
    lowest = np.linalg.lstsq(design[:, touched], rest, rcond=None)[1].sum() / rest.size
    reached = (found.kan(new) - targets).double().square().mean().item()
    assert reached == pytest.approx(lowest, rel=1e-4)


def test_float32_networks_are_fitted_in_float64_and_rounded_once() -> None:
    """The same numbers in float64 lead to the same coefficients, to float32's half a unit in the last place."""
    small = one_layer(dtype=torch.float32)
    new = uniform(50, 2, 0.0, 1.0).float()
    large = copy.deepcopy(small).double()
    rounded, exact = (fit_on(kan, new, waves(new).expand(-1, 2)).kan.layers[0] for kan in (small, large))
    assert rounded.coefficients.dtype == torch.float32
    assert torch.equal(rounded.coefficients, exact.coefficients.float())


@pytest.mark.slow
@pytest.mark.parametrize("plan", [LBFGS, ADAM])
def test_the_same_rows_and_seed_give_the_same_network(plan: FitSection) -> None:
    """To the bit, whatever was drawn from torch's generator between."""
    kan, new = every_kind_of_edge(), uniform(40, 3, 0.3, 0.9)
    found = []
    for _ in range(2):
        torch.rand(1)
        found.append(fit_on(kan, new, waves(new).expand(-1, 2), plan=plan))
    assert found[0].history == found[1].history
    first, second = (each.kan.state_dict() for each in found)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("plan", [LBFGS, pytest.param(ADAM, marks=pytest.mark.slow)])
def test_old_rows_that_are_protected_are_answered_as_before_in_a_deep_network(plan: FitSection) -> None:
    """Protected rows keep their answers, bit for bit; the new rows are fitted with the other coefficients."""
    start = KAN(KANConfig((2, 5, 1), grid_size=8))
    old, other_old = (torch.cat([uniform(300, 1, -1, 0, seed), uniform(300, 1, -1, 1, seed + 1)], 1) for seed in (0, 2))
    new = torch.cat([uniform(300, 1, 0, 1, 4), uniform(300, 1, -1, 1, 5)], dim=1)
    old, other_old, new = old.float(), other_old.float(), new.float()
    plan_of_start = LBFGS.model_copy(update={"grids": (8,)})
    kan = fit(start, Samples(old, waves(old)), Samples(other_old, waves(other_old)), plan_of_start, "regression").best
    free = fit_on(kan, new, waves(new), plan=plan, old_rows=old)
    held = fit_on(kan, new, waves(new), plan=plan, old_rows=old, protect_old=True)
    assert free.drift is not None
    assert held.drift is not None
    # The second input is the same everywhere, so that old rows share its splines with the new ones.
    assert free.drift.largest > 0.01
    assert held.drift.largest == 0
    assert torch.equal(held.kan(old), kan(old))
    assert same_numbers(kan, held)
    assert held.history[-1].train_loss < 0.2 * held.history[0].train_loss


def test_drift_is_the_change_in_units_of_the_outputs_range() -> None:
    """Largest and root mean square by NumPy; an output that is constant counts as it is."""
    kan = one_layer()
    layer = kan.layers[0]
    constant = layer.coefficients.detach().clone()
    constant[1] = 0
    base = layer.base_weight.detach().clone()
    base[1] = 0
    kan = KAN.of_layers([layer.changed(coefficients=constant, base_weight=base)])
    new, old = uniform(50, 2, 0.0, 1.0), uniform(80, 2, -1.0, 1.0, seed=1)
    found = fit_on(kan, new, waves(new).expand(-1, 2), old_rows=old)
    before, after = (each(old).detach().numpy() for each in (kan, found.kan))
    moved = np.abs(after - before) / np.array([np.ptp(before[:, 0]), 1.0])
    assert found.drift is not None
    assert found.drift.largest == pytest.approx(moved.max())
    assert found.drift.rms == pytest.approx(np.sqrt((moved**2).mean()))


@pytest.mark.parametrize("plan", [LBFGS, ADAM])
def test_validation_rows_choose_the_step(plan: FitSection) -> None:
    """What is kept has the lowest validation loss of all that were seen, and that of the start is one of them."""
    kan, new = one_layer(), uniform(12, 2, 0.0, 1.0)
    noise = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    validation = Samples(uniform(200, 2, 0.0, 1.0, seed=1), waves(uniform(200, 2, 0.0, 1.0, seed=1)).expand(-1, 2))
    found = fit_on(kan, new, waves(new) + noise, plan=plan, validation=validation)
    kept = (found.kan(validation.x) - validation.y).square().mean().item()
    assert kept == pytest.approx(min(record.validation_loss for record in found.history))
    assert kept < found.history[-1].validation_loss
    content = Samples(validation.x, kan(validation.x).detach())
    unmoved = fit_on(kan, new, waves(new) + noise, plan=plan, validation=content).kan
    assert torch.equal(unmoved.layers[0].coefficients, kan.layers[0].coefficients)


def test_a_step_to_infinity_keeps_the_last_good_network() -> None:
    """A learning rate beyond all numbers: what comes back is finite, and no worse than what was given."""
    kan, new = every_kind_of_edge(), uniform(40, 3, 0.3, 0.9)
    wild = ADAM.model_copy(update={"learning_rate": 1e200})
    found = fit_on(kan, new, waves(new).expand(-1, 2), plan=wild)
    assert len(found.history) < 1 + wild.steps
    assert all(torch.isfinite(parameter).all() for parameter in found.kan.parameters())
    best = min(record.validation_loss for record in found.history)
    assert (found.kan(new) - waves(new)).square().mean().item() == pytest.approx(best)


def test_a_loss_beyond_all_numbers_is_refused() -> None:
    """Targets whose square overflows float64."""
    kan, new = one_layer(), uniform(5, 2, 0.0, 1.0)
    with pytest.raises(TrainingError, match="before the first step"):
        fit_on(kan, new, torch.full((5, 2), 1e200, dtype=torch.float64))


@pytest.mark.parametrize("plan", [LBFGS, ADAM])
def test_a_class_is_learned_where_it_appears_and_nowhere_else(plan: FitSection) -> None:
    """New rows of class 1 on the right; on the left, class 0 keeps its logits to the bit."""
    kan = one_layer(features=1, dtype=torch.float32)
    left, right = uniform(100, 1, -2.0, 0.2).float(), uniform(100, 1, 1.0, 2.0).float()
    classes = (right[:, 0] > 1.5).long()
    found = fit_on(kan, right, classes, task="classification", plan=plan, old_rows=left)
    assert found.history[-1].validation_score > 0.98
    assert ((found.kan(right).argmax(dim=1) == classes).double().mean()) > 0.98
    assert torch.equal(found.kan(left), kan(left))


def test_one_row_is_enough() -> None:
    """A single row is fitted exactly; 2·4 coefficients change."""
    kan = one_layer(features=1)
    row, target = torch.tensor([[0.31]]).double(), torch.tensor([[2.0, -1.0]]).double()
    found = fit_on(kan, row, target)
    torch.testing.assert_close(found.kan(row).detach(), target, atol=1e-6, rtol=0)
    assert int(found.free[0].sum()) == 8


def test_rows_outside_the_domain_are_counted_and_touch_the_end_under_clamp() -> None:
    """Under clamp a row outside touches the coefficients at the domain's end; unread inputs do not count."""
    kan = one_layer()
    rows = torch.tensor([[50.0, 0.0], [2.0, -2.0], [0.0, -2.1], [0.0, 0.0]]).double()
    found = fit_on(kan, rows, waves(rows).expand(-1, 2))
    assert found.rows_outside == 2
    at_end, outside = (touched_coefficients(kan, torch.tensor([[x, 0.0]]).double())[0] for x in (2.0, 50.0))
    assert torch.equal(at_end, outside)
    kan.layers[0].edge_mask[:, 0] = 0
    assert fit_on(kan, rows, waves(rows).expand(-1, 2)).rows_outside == 1


def test_rows_that_touch_nothing_are_refused() -> None:
    """Beyond the last knot under decay, or where all edges are symbolic or not there."""
    kan, far = one_layer(outside="decay"), torch.full((3, 2), 50.0)
    with pytest.raises(ValueError, match="3 of 3"):
        fit_on(kan, far, torch.zeros(3, 2))
    kan = one_layer()
    kan.layers[0].edge_mask.zero_()
    with pytest.raises(ValueError, match=r"coefficient \(0 of 3"):
        fit_on(kan, far, torch.zeros(3, 2))


def test_protection_that_leaves_nothing_is_refused() -> None:
    """Old rows everywhere, or none given at all."""
    kan, new = one_layer(), uniform(20, 2, 0.0, 1.0)
    with pytest.raises(ValueError, match="without old_rows"):
        fit_on(kan, new, waves(new).expand(-1, 2), protect_old=True)
    with pytest.raises(ValueError, match="old rows touch every"):
        fit_on(kan, new, waves(new).expand(-1, 2), old_rows=new, protect_old=True)


GOOD = Samples(torch.zeros(4, 2), torch.zeros(4, 2))
CLASSES = Samples(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (replace(GOOD, x=torch.zeros(0, 2)), r"new rows .*\(0, 2\)"),
        (replace(GOOD, x=torch.zeros(4, 3)), r"new rows .*\(4, 3\)"),
        (replace(GOOD, x=torch.zeros(4)), r"new rows have shape \(4,\)"),
        (replace(GOOD, x=torch.full((4, 2), math.nan)), "4 of 4 new rows .*float32"),
        (replace(GOOD, x=torch.full((4, 2), 1e60, dtype=torch.float64)), "4 of 4 new rows are not finite"),
        (replace(GOOD, y=torch.zeros(4)), r"new targets .*\(4,\)"),
        (replace(GOOD, y=torch.zeros(4, 1)), r"new targets .*\(4, 1\)"),
        (replace(GOOD, y=torch.full((4, 2), math.inf)), "new targets are not finite"),
        (replace(CLASSES, y=torch.full((4,), 2)), "new classes .*from 2 to 2"),
        (replace(CLASSES, y=torch.zeros(4)), r"new classes are torch\.float32"),
        (replace(CLASSES, y=torch.full((4,), -100)), "from -100 to -100"),
        (replace(CLASSES, y=torch.zeros(4, 2, dtype=torch.int64)), r"wanted \(4,\) for classification"),
    ],
)
def test_rows_and_targets_that_do_not_fit_are_refused(samples: Samples, message: str) -> None:
    """What came and what was wanted."""
    task = "classification" if not samples.y.is_floating_point() or "classes" in message else "regression"
    with pytest.raises(ValueError, match=message):
        fit_on(one_layer(dtype=torch.float32), samples.x, samples.y, task=task)  # type: ignore[arg-type]


def test_other_mistakes_are_refused() -> None:
    """Weight decay, old or validation rows of another width, and networks that are broken already."""
    kan = one_layer()
    with pytest.raises(ValueError, match=r"weight_decay is 0.1"):
        fit_on(kan, GOOD.x, GOOD.y, plan=ADAM.model_copy(update={"weight_decay": 0.1}))
    with pytest.raises(ValueError, match="old rows have shape"):
        fit_on(kan, GOOD.x, GOOD.y, old_rows=torch.zeros(2, 1))
    with pytest.raises(ValueError, match="validation rows"):
        fit_on(kan, GOOD.x, GOOD.y, validation=Samples(torch.zeros(2, 1), torch.zeros(2, 2)))
    broken = copy.deepcopy(kan)
    with torch.no_grad():
        broken.layers[0].base_weight[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"base_weight .*not finite"):
        fit_on(broken, GOOD.x, GOOD.y)


@pytest.mark.slow
@pytest.mark.parametrize("outside", ["clamp", "decay"])
def test_the_new_network_lowers_to_onnx(outside: Outside) -> None:
    """Its graph answers as torch does, near the new rows and elsewhere."""
    kan, new = every_kind_of_edge(outside, torch.float32), uniform(40, 3, 0.3, 0.9).float()
    fitted = fit_on(kan, new, waves(new).expand(-1, 2)).kan
    rows = torch.cat([new, uniform(60, 3, -2.5, 2.5).float()])
    answers = open_session(lower(fitted, tune_for=()).model).run(rows.numpy())[0]
    np.testing.assert_allclose(answers, fitted(rows).detach().numpy(), atol=2e-5)

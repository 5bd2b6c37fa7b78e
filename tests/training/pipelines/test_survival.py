"""Full-batch LBFGS keeps finite weights under bad conditions, and the best grid is kept."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline
from torch import Tensor

from kan_model import KAN, KANConfig, KANLayer, SymbolicEdge, adapt_grid, fix_symbolic, refine_grid
from kan_model.analysis.penalty import penalty
from kan_model.network.layer import Outside
from training.data.objective.loss import loss
from training.data.objective.loss_function import Task
from training.data.samples import Samples
from training.fitting.fit import FitState, TrainingDiverged, begin, fit, fit_steps
from training.recipe.fit_sections import FitSection, SparsifySection

FINE = 24


def plan(*grids: int, steps: int = 12, learning_rate: float = 1.0) -> FitSection:
    """LBFGS on these grids."""
    return FitSection(optimizer="lbfgs", grids=grids, steps=steps, learning_rate=learning_rate)


def smooth(x: Tensor) -> Tensor:
    """exp(sin 3x + y²) of rows ``[rows, 2]``."""
    return torch.exp(torch.sin(3 * x[:, :1]) + x[:, 1:] ** 2)


def uniform(rows: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """``[rows, 2]`` in [−1, 1]."""
    return (torch.rand(rows, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2 - 1).to(dtype)


def with_weights(kan: KAN, value: float) -> KAN:
    """A copy all of whose weights are this."""
    layers = []
    for layer in kan.layers:
        base, coefficients = (torch.full_like(t.detach(), value) for t in (layer.base_weight, layer.coefficients))
        layers.append(layer.changed(base_weight=base, coefficients=coefficients))
    return KAN.of_layers(layers)


def without_edges(kan: KAN, *away: tuple[int, int, int]) -> KAN:
    """A copy without these edges (layer, output, input)."""
    kan = copy.deepcopy(kan)
    for layer, output, input_ in away:
        kan.layers[layer].edge_mask[output, input_] = 0
    return kan


def edges_of(kan: KAN, *layers: int) -> list[tuple[int, int, int]]:
    """All edges of these layers."""
    sizes = [(index, kan.layers[index].outputs, kan.layers[index].inputs) for index in layers]
    return [(index, o, i) for index, outputs, inputs in sizes for o in range(outputs) for i in range(inputs)]


def gap(x: Tensor) -> Tensor:
    """No row in [−0.5, 0.5] of either feature."""
    return x / 2 + torch.sign(x) / 2


def flat(x: Tensor) -> Tensor:
    """The first feature is 0.3 in every row."""
    return torch.stack([torch.full_like(x[:, 0], 0.3), x[:, 1]], dim=1)


Change = Callable[[Tensor], Tensor]


def same(x: Tensor) -> Tensor:
    """As it came."""
    return x


NETWORKS: dict[str, Callable[[KAN], KAN]] = {
    "dead edges and a dead node": lambda kan: without_edges(kan, (0, 0, 0), (0, 0, 1), (0, 2, 1), (1, 0, 1)),
    "no edge in the last layer": lambda kan: without_edges(kan, *edges_of(kan, 1)),
    "no edge at all": lambda kan: without_edges(kan, *edges_of(kan, 0, 1)),
    "all activations zero": lambda kan: with_weights(kan, 0.0),
}
# What becomes of 60 rows and their targets; on a fine grid or not.
ROWS: dict[str, tuple[Change, Change, bool]] = {
    "fewer rows than coefficients": (lambda x: x[:3], same, True),
    "one row": (lambda x: x[:1], same, True),
    "one row many times": (lambda x: x[:1].repeat(60, 1), same, True),
    "a constant column": (flat, same, True),
    "intervals without rows": (gap, same, True),
    "outside the domain": (lambda x: x * 100, same, False),
    "far outside": (lambda x: x * 1e9, same, False),
    "tiny inputs": (lambda x: x * 1e-30, same, False),
    "equal targets": (same, lambda y: torch.full_like(y, 2.0), False),
    "huge targets": (same, lambda y: y * 1e15, False),
    "tiny targets": (same, lambda y: y * 1e-20, False),
}
CONDITIONS = [*NETWORKS, *ROWS]
RANK_DEFICIENT = [name for name, (_, _, fine) in ROWS.items() if fine]


def condition(name: str, outside: Outside, dtype: torch.dtype) -> tuple[KAN, Samples, FitSection]:
    """A network, rows and a plan of which one thing is as the name says."""
    kan, x = KAN(KANConfig((2, 3, 1), grid_size=3, outside=outside), dtype=dtype), uniform(60, dtype=dtype)
    if name in NETWORKS:
        return NETWORKS[name](kan), Samples(x, smooth(x)), plan(3, 6)
    rows, targets, fine = ROWS[name]
    # Twice as many intervals: knot insertion, which moves no answer.
    return kan, Samples(rows(x), targets(smooth(rows(x)) if fine else smooth(x))), plan(3, FINE) if fine else plan(3, 6)


def price(kan: KAN, train: Samples, sparsify: SparsifySection | None, task: Task = "regression") -> float:
    """What the fit lowers: the loss, and what edges cost."""
    with torch.no_grad():
        value = float(loss(task, kan(train.x), train.y))
        return value if sparsify is None else value + sparsify.penalty * float(penalty(kan, train.x))


def all_finite(state: FitState) -> bool:
    """Every number of both networks, and every loss."""
    tensors = [*state.kan.state_dict().values(), *state.best.state_dict().values()]
    losses = [(record.train_loss, record.validation_loss) for record in state.history]
    return all(bool(torch.isfinite(t).all()) for t in tensors) and bool(np.isfinite(losses).all())


# Each condition with both tails and in both precisions, and by turns which tail in which: all pairs of two.
_SURVIVES = [
    pytest.param(name, *tail, dtype, id=f"{name}, {tail[0]}, {str(dtype).removeprefix('torch.')}")
    for place, name in enumerate(CONDITIONS)
    for tail, dtype in zip(
        (("clamp", None), ("decay", SparsifySection())),
        (torch.float32, torch.float64)[:: 1 - place % 2 * 2],
        strict=True,
    )
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "outside", "sparsify", "dtype"), _SURVIVES)
def test_lbfgs_survives(name: str, outside: Outside, sparsify: SparsifySection | None, dtype: torch.dtype) -> None:
    """Weights and losses are finite, the loss no larger than before, no grid is cut short; what is dead stays dead."""
    kan, train, steps = condition(name, outside, dtype)
    state = begin(kan, steps)
    before = price(state.kan, train, sparsify)
    for _ in fit_steps(state, train, train, steps, "regression", sparsify):
        pass
    assert all_finite(state)
    assert price(state.best, train, sparsify) <= before * (1 + 1e-5)
    assert state.diverged == []
    assert len(state.history) == 4
    for layer, old in zip(state.kan.layers, kan.layers, strict=True):
        away = old.edge_mask == 0
        assert torch.equal(layer.edge_mask, old.edge_mask)
        assert torch.equal(layer.base_weight[away], old.base_weight[away])


@pytest.mark.parametrize("name", RANK_DEFICIENT)
def test_the_fits_are_rank_deficient(name: str) -> None:
    """SciPy's design matrix of the first feature on the fine grid has fewer independent columns than it has."""
    kan, train, _ = condition(name, "clamp", torch.float64)
    knots = refine_grid(kan, FINE).layers[0].all_knots()[0].numpy()
    design = BSpline.design_matrix(np.sort(train.x[:, 0].numpy()), knots, 3).toarray()
    assert np.linalg.matrix_rank(design) < design.shape[1] == FINE + 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("name", [name for name in RANK_DEFICIENT if name != "one row"])
def test_grids_follow_rows_that_determine_no_spline(name: str, outside: Outside, dtype: torch.dtype) -> None:
    """adapt_grid keeps the answers at the rows, and refine_grid those everywhere inside, both in finite numbers."""
    kan, train, _ = condition(name, outside, dtype)
    adapted, refined = adapt_grid(kan, train.x, grid_size=FINE, max_moved=math.inf), refine_grid(kan, FINE)
    exact = [copy.deepcopy(each).double() for each in (kan, adapted.kan, refined)]
    assert all(bool(torch.isfinite(t).all()) for each in exact for t in each.state_dict().values())
    assert max(adapted.moved) < 0.05
    with torch.no_grad():
        answers = [each(train.x.double()) for each in exact]
        # Beyond a hidden domain the finer grid's tails are shorter under decay, as refine_grid says.
        x = uniform(500).double() * 0.1 if outside == "decay" else uniform(500).double() * 2
        old, new = exact[0](x), exact[2](x)
    torch.testing.assert_close(answers[1], answers[0], rtol=0, atol=0.05 * float(answers[0].abs().max()))
    torch.testing.assert_close(new, old, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("sparsify", [None, SparsifySection()], ids=["plain", "sparsify"])
@pytest.mark.parametrize("width", [(2, 2), (2, 5, 2)])
@pytest.mark.parametrize("rows", [2, 100])
def test_classes_that_are_easily_told_apart(
    rows: int, width: tuple[int, ...], sparsify: SparsifySection | None
) -> None:
    """In float32, a margin between two classes: gradients die away, logits stay finite."""
    x = uniform(400, dtype=torch.float32)
    x = x[(x.sum(dim=1).abs() > 0.3)]
    x = torch.cat([x[x.sum(dim=1) > 0][: rows // 2], x[x.sum(dim=1) < 0][: rows // 2]])
    train = Samples(x, (x.sum(dim=1) > 0).long())
    state = begin(KAN(KANConfig(width, grid_size=3)), plan(3, 6, steps=80))
    for _ in fit_steps(state, train, train, plan(3, 6, steps=80), "classification", sparsify):
        pass
    assert all_finite(state)
    assert state.diverged == []
    assert (state.best(x).argmax(dim=1) == train.y).all()
    assert state.history[-1].train_loss < 0.05


def test_one_class() -> None:
    """Nothing to tell apart: the one class is always said, in finite numbers."""
    x = uniform(60, dtype=torch.float32)
    train = Samples(x, torch.ones(60, dtype=torch.int64))
    state = fit(KAN(KANConfig((2, 3, 2))), train, train, plan(5, 10, steps=40), "classification")
    assert all_finite(state)
    assert (state.best(x).argmax(dim=1) == 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_a_line_search_that_leaves_a_functions_domain_turns_back(dtype: torch.dtype) -> None:
    """log(a·x + b), first steps a million times too long: NaN on the way, none in the end, and the loss is lower."""
    kan = fix_symbolic(KAN(KANConfig((1, 1)), dtype=dtype), 0, SymbolicEdge(0, 0, "log", 1, 0.5, 1, 0))
    x = torch.linspace(0, 1, 50, dtype=dtype).unsqueeze(1)
    train, steps = Samples(x, torch.log(0.3 * x + 0.05)), plan(5, steps=60, learning_rate=1e6)
    seen: list[bool] = []
    kan.layers[0].register_forward_hook(lambda _, __, y: seen.append(bool(torch.isfinite(y).all())))
    state = begin(kan, steps)
    state.kan.layers[0].register_forward_hook(lambda _, __, y: seen.append(bool(torch.isfinite(y).all())))
    before = price(state.kan, train, None)
    for _ in fit_steps(state, train, train, steps, "regression"):
        pass
    assert not all(seen)
    assert all_finite(state)
    assert state.diverged == []
    assert price(state.best, train, None) < 0.1 * before


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_a_network_without_answers_is_no_overflow(dtype: torch.dtype) -> None:
    """The logarithm of negative rows: which edge and row, not the RuntimeError of a step too large for float32."""
    kan = fix_symbolic(KAN(KANConfig((2, 1)), dtype=dtype), 0, SymbolicEdge(0, 1, "log", 1, 0, 1, 0))
    x = uniform(20, dtype=dtype)
    with pytest.raises(TrainingDiverged, match=r"grid 5; layer 0: .*nan"):
        fit(kan, Samples(x, x[:, :1]), Samples(x, x[:, :1]), plan(5), "regression")


def test_a_step_that_float32_cannot_hold_is_no_overflow() -> None:
    """The largest learning rate there is, small gradients: steps of 1e6 and beyond, and nothing breaks."""
    x = uniform(40, dtype=torch.float32)
    kan = KAN(KANConfig((2, 3, 1)))
    train = Samples(x, kan(x).detach() + 1e-4 * x[:, :1])
    state = fit(kan, train, train, plan(5, 10, learning_rate=1e6), "regression")
    assert all_finite(state)


def test_a_grid_that_diverges_leaves_the_one_before() -> None:
    """The second grid's rows turn infinite: it ends at once, the first grid's best network is kept, and it is said."""
    x = uniform(60)
    train = Samples(x, smooth(x))
    state = begin(KAN(KANConfig((2, 3, 1), grid_size=3), dtype=torch.float64), plan(3, 6))
    steps = fit_steps(state, train, Samples(x.clone(), smooth(x)), plan(3, 6), "regression")
    while state.stage == 0:
        next(steps)
    best = copy.deepcopy(state.best)
    train.y.mul_(1e200)
    for _ in steps:
        pass
    assert state.diverged == [6]
    assert all_finite(state)
    assert all(torch.equal(a, b) for a, b in zip(state.best.parameters(), best.parameters(), strict=True))
    assert {record.grid_size for record in state.history} == {3}


def test_the_best_grid_of_a_u_shaped_error_is_kept() -> None:
    """Sixty noisy rows: with finer grids the error on rows never seen falls and rises again; the kept grid is the best.

    The errors are computed apart from the fit: by NumPy, of copies of the network at the end of every grid, against the
    noiseless function on rows that neither trained nor chose.
    """
    generator = np.random.default_rng(0)

    def samples(count: int, noise: float) -> Samples:
        x = generator.uniform(-1, 1, (count, 1))
        return Samples(torch.from_numpy(x), torch.from_numpy(np.sin(6 * x) + noise * generator.normal(size=x.shape)))

    train, validation, unseen = samples(60, 0.3), samples(300, 0.3), samples(2000, 0.0)
    grids = (2, 4, 8, 16, 32, 64)
    state = begin(KAN(KANConfig((1, 1), grid_size=2), dtype=torch.float64), plan(*grids, steps=60))
    ends: dict[int, KAN] = {}
    for now in fit_steps(state, train, validation, plan(*grids, steps=60), "regression"):
        if now.step:
            ends[grids[now.stage]] = copy.deepcopy(now.kan)
    errors = {size: rmse(ends[size].layers[0], unseen) for size in grids}
    best = min(errors, key=lambda size: errors[size])
    assert grids[0] < best < grids[-1]
    assert errors[grids[0]] > 2 * errors[best] < 2 * errors[grids[-1]] / 1.5
    assert state.best.layers[0].grid_size == best
    assert rmse(state.best.layers[0], unseen) < 1.1 * errors[best]


def rmse(layer: KANLayer, samples: Samples) -> float:
    """Of the one edge of a layer, by SciPy's spline and silu's formula."""
    x = samples.x[:, 0].numpy()
    spline = BSpline(layer.all_knots()[0].numpy(), layer.coefficients[0, 0].detach().numpy(), layer.degree)
    low, high = layer.domain[0].tolist()
    base = float(layer.base_weight[0, 0].detach())
    answers = base * x / (1 + np.exp(-x)) + spline(np.clip(x, low, high))
    return float(np.sqrt(np.mean((answers - samples.y[:, 0].numpy()) ** 2)))

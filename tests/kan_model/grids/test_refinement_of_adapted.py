"""Refined splines compared with SciPy's, on grids that follow heavy tails."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_lsq_spline

from kan_model import KAN, KANConfig, KANLayer, adapt_grid, refine_grid
from kan_model.grids.refinement import replace_knots
from kan_model.network.layer import Outside

Values = NDArray[np.float64]
TAILS = ("log-normal", "wide log-normal", "Pareto", "clipped Cauchy", "duplicates")
SIZES = {10: (10, 11, 15, 20, 25), 5: (8,), 1: (2,)}
# How far answers may move, as a share of the range: float32 rounds the new coefficients once.
ROUNDED = {torch.float32: 1e-6, torch.float64: 1e-13}


def heavy(name: str) -> torch.Tensor:
    """``[400, 2]`` rows of which a few lie far from all others."""
    random, shape = np.random.default_rng(0), (400, 2)
    draw: dict[str, Callable[[], Values]] = {
        "log-normal": lambda: random.lognormal(0, 1.5, shape),
        "wide log-normal": lambda: random.lognormal(0, 3, shape),
        "Pareto": lambda: random.pareto(1.5, shape),
        "clipped Cauchy": lambda: np.clip(random.standard_cauchy(shape), -1000, 1000),
        "duplicates": lambda: np.where(random.random(shape) < 0.7, 0.0, random.exponential(1, shape)),
    }
    return torch.from_numpy(draw[name]())


def adapted(rows: torch.Tensor, size: int, degree: int, outside: Outside, dtype: torch.dtype) -> KAN:
    """Three layers of random splines whose grids follow their inputs."""
    domain = tuple(zip(rows.amin(dim=0).tolist(), rows.amax(dim=0).tolist(), strict=True))
    config = KANConfig((2, 3, 2, 1), grid_size=size, degree=degree, outside=outside, domain=domain, noise=0.5)
    moved = adapt_grid(KAN(config, seed=0, dtype=dtype), rows, max_moved=math.inf).kan
    generator = torch.Generator().manual_seed(1)
    return KAN.of_layers(
        [
            layer.changed(
                coefficients=torch.randn(layer.coefficients.shape, generator=generator, dtype=dtype),
                base_weight=torch.zeros_like(layer.base_weight),
            )
            for layer in moved.layers
        ]
    )


def breaks(layer: KANLayer, feature: int) -> Values:
    """The breaks of a feature, in float64."""
    inner: Values = layer.all_knots()[feature, layer.degree : -layer.degree].double().numpy()
    return inner


def splines(layer: KANLayer, feature: int) -> BSpline:
    """SciPy's spline of all edges that leave a feature, in float64."""
    coefficients = layer.coefficients[:, feature].detach().double().numpy().T
    return BSpline(layer.all_knots()[feature].double().numpy(), coefficients, layer.degree, extrapolate=False)


def inside(*grids: Values) -> Values:
    """20 points in every interval between two neighbouring breaks of any of the grids."""
    ends = np.unique(np.concatenate(grids))
    return (ends[:-1, None] + np.diff(ends)[:, None] * (np.arange(20) + 0.5) / 20).ravel()


def moved(before: BSpline, after: BSpline, points: Values) -> float:
    """The largest difference of two splines relative to the range of the first, over all curves."""
    old, new = before(points), after(points)
    return float((np.abs(new - old).max(axis=0) / np.ptp(old, axis=0)).max())


@pytest.mark.parametrize(
    ("outside", "dtype"),
    [
        ("clamp", torch.float32),
        ("decay", torch.float64),
        pytest.param("clamp", torch.float64, marks=pytest.mark.slow),
        pytest.param("decay", torch.float32, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    ("tail", "degree"),
    [
        # Each tail with cubic splines and each degree on the widest tail; the other pairs in `make test-slow`.
        pytest.param(tail, degree, marks=() if degree == 3 or tail == "wide log-normal" else pytest.mark.slow)
        for tail in TAILS
        for degree in (1, 2, 3, 4, 5)
    ],
)
def test_adapted_splines_of_every_layer_are_refined_exactly(
    tail: str, degree: int, outside: Outside, dtype: torch.dtype
) -> None:
    """For any size the curves stay the same in every interval by SciPy's evaluation; knots are only added."""
    for size, all_finer in SIZES.items():
        kan = adapted(heavy(tail), size, degree, outside, dtype)
        for finer in all_finer:
            for old, new in zip(kan.layers, refine_grid(kan, finer).layers, strict=True):
                assert new.grid_size == finer
                for feature in range(old.inputs):
                    before, after = breaks(old, feature), breaks(new, feature)
                    assert set(before) <= set(after)
                    assert moved(splines(old, feature), splines(new, feature), inside(before, after)) < ROUNDED[dtype]


@pytest.mark.parametrize("tail", TAILS)
def test_a_network_on_heavy_tails_answers_as_before_everywhere(tail: str) -> None:
    """Under clamp: on its rows, between them, and far outside."""
    rows = heavy(tail)
    kan = adapted(rows, 10, 3, "clamp", torch.float64)
    rows = torch.cat([rows, rows.flip(0) * 0.37, rows * 1e3, -rows])
    for finer in (11, 15, 25):
        torch.testing.assert_close(refine_grid(kan, finer)(rows), kan(rows), atol=1e-9, rtol=1e-9)


def test_the_same_size_changes_no_bit() -> None:
    """The same size changes no bit of coefficients or knots, uniform or not, also beyond the ends."""
    kan = adapted(heavy("Pareto"), 10, 3, "decay", torch.float32)
    layer = kan.layers[0]
    assert layer.knots is not None
    knots = layer.knots.clone()
    knots[:, 0] -= 5
    for each in (KAN(KANConfig((2, 3), noise=0.5)), KAN.of_layers([layer.changed(knots=knots)])):
        same = refine_grid(each, each.layers[0].grid_size).state_dict()
        assert all(torch.equal(same[name], tensor) for name, tensor in each.state_dict().items())


def test_insertion_gives_the_spline_that_scipy_gives() -> None:
    """BSpline.insert_knot, one new knot after another, ends in the same curve."""
    kan = adapted(heavy("Pareto"), 10, 3, "clamp", torch.float64)
    old, new = (each.layers[0] for each in (kan, refine_grid(kan, 15)))
    added = sorted(set(breaks(new, 0)) - set(breaks(old, 0)))
    assert len(added) == 5
    theirs = splines(old, 0)
    for knot in added:
        theirs = theirs.insert_knot(knot)
    assert moved(theirs, splines(new, 0), inside(breaks(new, 0))) < 1e-12


@pytest.mark.parametrize(("size", "finer"), [(10, 12), (10, 15), (7, 18), (3, 10)])
def test_knots_stay_dense_where_they_were_dense(size: int, finer: int) -> None:
    """Two intervals get equally many pieces, give or take one, and each half of the grid gets its share."""
    kan = adapted(heavy("wide log-normal"), size, 3, "clamp", torch.float64)
    before, after = (breaks(each.layers[0], 0) for each in (kan, refine_grid(kan, finer)))
    pieces = np.diff(np.searchsorted(after, before))
    assert pieces.min() == finer // size
    assert pieces.max() == -(-finer // size)
    assert abs(pieces[: size // 2].sum() - finer * (size // 2) / size) < 1
    np.testing.assert_allclose(np.diff(after), np.repeat(np.diff(before) / pieces, pieces), rtol=1e-6)


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("spread", [1, 30, 3000])
def test_least_squares_on_other_knots_is_near_the_best(degree: int, spread: int) -> None:
    """With neighbouring intervals up to 3000 : 1 the largest error is at most 3 times that of SciPy's least squares.

    SciPy's is given 20 points an interval, once all alike and once with every interval weighing the same.
    """
    random = np.random.default_rng(degree)
    for size, new_size in ((2, 5), (5, 8), (10, 15), (10, 11), (6, 6)):
        old = np.cumsum(np.exp(random.uniform(0, math.log(spread), size + 1)))
        new = np.concatenate([[old[0]], np.sort(random.uniform(old[0], old[-1], new_size - 1)), [old[-1]]])
        if random.random() < 0.5:
            new = np.interp(np.arange(new_size + 1) * size / new_size, np.arange(size + 1), old)
        knots = [torch.from_numpy(_knots(each, degree)).unsqueeze(0) for each in (old, new)]
        coefficients = torch.from_numpy(random.standard_normal((1, 1, size + degree)))
        nothing = torch.zeros(1, 1, dtype=torch.float64)
        layer = KANLayer(nothing, coefficients, degree=degree, outside="clamp", knots=knots[0])
        replaced = replace_knots(layer, knots[1])
        points = inside(old, new)
        truth = splines(layer, 0)(points)
        lengths = np.diff(np.unique(np.concatenate([old, new])))
        widths = np.diff(new)[np.clip(np.searchsorted(new, points, side="right") - 1, 0, new_size - 1)]
        theirs = [
            make_lsq_spline(points, truth, knots[1][0].numpy(), degree, w=weights)(points)
            for weights in (None, np.sqrt(np.repeat(lengths, 20) / widths))
        ]
        best = min(np.abs(fit - truth).max() for fit in theirs)
        assert np.abs(splines(replaced, 0)(points) - truth).max() <= 3 * best + 1e-9 * np.ptp(truth)


def _knots(ends: Values, degree: int) -> Values:
    steps = np.arange(1, degree + 1)
    before, after = ends[0] - (ends[1] - ends[0]) * steps[::-1], ends[-1] + (ends[-1] - ends[-2]) * steps
    return np.concatenate([before, ends, after])


@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
def test_uniform_grids_stay_uniform_and_near_the_best(degree: int) -> None:
    """10 -> 15 where 15 intervals cannot hold every knot: at most 3 times the error of SciPy's least squares."""
    kan = KAN(KANConfig((2, 3), grid_size=10, degree=degree, noise=0.5), seed=0, dtype=torch.float64)
    old, new = (each.layers[0] for each in (kan, refine_grid(kan, 15)))
    assert new.knots is None
    points = inside(breaks(old, 1), breaks(new, 1))
    truth = splines(old, 1)(points)
    theirs = make_lsq_spline(points, truth, new.all_knots()[1].numpy(), degree)(points)
    ours = splines(new, 1)(points)
    assert np.abs(ours - truth).max() <= 3 * np.abs(theirs - truth).max()


def test_a_feature_whose_new_grid_holds_every_knot_is_not_fitted() -> None:
    """Of two features, one gets more knots and is exact, though the other one is fitted."""
    kan = KAN(KANConfig((2, 2), grid_size=5, noise=0.5), seed=0, dtype=torch.float64)
    layer = kan.layers[0]
    finer = refine_grid(kan, 10).layers[0].all_knots()
    finer[1] += 0.02 * torch.sin(torch.arange(finer.shape[1]).double())
    replaced = replace_knots(layer, finer)
    points = inside(breaks(layer, 0))
    assert moved(splines(layer, 0), splines(replaced, 0), points) < 1e-13

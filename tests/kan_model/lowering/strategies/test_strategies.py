"""Every strategy against the network in float64, within an error bound derived for it.

Let u = 2⁻²⁴ be float32's unit roundoff, and let a layer read inputs that are off by e. Then a node is off by at most

    Σ over inputs  (slope + 1.1·|w|)·e  +  C·u·( slope·(|x| + |t|)  +  |w|·|x|  +  condition )

where slope bounds the spline's derivative, w is the base weight (silu's slope stays below 1.1), t the knot that is
farthest from zero (float32 holds x and t to u of their size: in intervals of size h any formula loses |x|/h·u), |w|·|x|
what onnxruntime's sigmoid, exact to about 2⁻²³ of 1, may do to silu, and the condition how large the terms are that a
strategy adds up, times the roundings in each: see the functions below. C = 6 stands for the handful of roundings that
each of these meets; in a thousand random networks the largest error was 0.7 times the bound with C = 4 for the base
branch, and 1.4 times that with C = 1 for everything else.
"""

import copy
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from math import factorial

import numpy as np
import pytest
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from kan_model import KAN
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.cuts import cut_by_jumps, even_cuts
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.connections import select_nodes
from kan_model.network.layer import KANLayer, Outside
from kan_model.onnx_runtime import run
from kan_model.splines.bspline import cardinal_terms

Rows = NDArray[np.float32]
Values = NDArray[np.float64]
RowsOf = Callable[[KAN], Rows]
Answers = Callable[[KAN, Rows], Values]

OUTSIDE: tuple[Outside, ...] = ("clamp", "decay")
ROUNDOFF = 2.0**-24
SAFETY = 6


@st.composite
def networks(draw: st.DrawFn, max_layers: int = 3) -> KAN:
    """1 to 3 layers, each with a grid of its own kind; what a layer gives lies about the domain of the next."""
    width = draw(st.lists(st.integers(1, 6), min_size=2, max_size=max_layers + 1))
    outside: Outside = draw(st.sampled_from(OUTSIDE))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    domains = [(draw(st.floats(-100, 100)), draw(st.floats(0.1, 200))) for _ in width[1:]]
    layers = []
    for index, (inputs, outputs) in enumerate(pairwise(width)):
        low, size = domains[index]
        next_low, next_size = domains[index + 1] if index + 1 < len(domains) else (-1.0, 2.0)
        degree, grid_size = draw(st.integers(1, 5)), draw(st.integers(1, 40))
        shared, uneven = draw(st.booleans()), draw(st.booleans())
        lows = low + (0 if shared else size * random.uniform(-0.5, 0.5, inputs)) * np.ones(inputs)
        sizes = size * (1 if shared else random.uniform(0.5, 2, inputs)) * np.ones(inputs)
        # Values about the next domain, its middle shared by the inputs.
        wanted = next_low + next_size * random.uniform(-0.25, 1.25, (outputs, inputs, grid_size + degree))
        base = next_size * random.normal(size=(outputs, inputs)) * draw(st.sampled_from([0, 1]))
        mask = random.random((outputs, inputs)) < draw(st.sampled_from([1.0, 0.6]))
        layer = KANLayer(
            torch.tensor(base / inputs, dtype=dtype),
            torch.tensor(wanted / inputs, dtype=dtype),
            degree=degree,
            outside=outside,
            domain=None if uneven else torch.tensor(np.stack([lows, lows + sizes], axis=1), dtype=dtype),
            knots=torch.tensor(_uneven_knots(random, lows, sizes, grid_size, degree), dtype=dtype) if uneven else None,
            edge_mask=torch.tensor(mask, dtype=dtype),
        )
        note(f"[{inputs}, {outputs}] {degree=} {grid_size=} {outside} {uneven=} {shared=} {low=} {size=} {dtype}")
        layers.append(layer)
    return KAN.of_layers(layers)


def _uneven_knots(random: np.random.Generator, low: Values, size: Values, grid_size: int, degree: int) -> Values:
    """Other knots for each input, interval widths within a factor of 10, the domain as told."""
    steps = 10 ** random.uniform(-0.5, 0.5, (len(low), grid_size + 2 * degree))
    knots = np.concatenate([np.zeros((len(low), 1)), np.cumsum(steps, axis=1)], axis=1)
    first, last = knots[:, [degree]], knots[:, [-degree - 1]]
    result: Values = low[:, None] + size[:, None] * (knots - first) / (last - first)
    return result


@settings(deadline=None, max_examples=25)
@given(kan=networks())
def test_every_strategy_equals_float64(kan: KAN, rows_of_all_kinds: RowsOf, float64_answers: Answers) -> None:
    """Within the bound for every finite input: inside, on knots, at the ends, outside, one feature up to 1e6."""
    _check_strategies(kan, rows_of_all_kinds, float64_answers)


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(kan=networks())
def test_every_strategy_equals_float64_for_many(kan: KAN, rows_of_all_kinds: RowsOf, float64_answers: Answers) -> None:
    """The same of more networks."""
    _check_strategies(kan, rows_of_all_kinds, float64_answers)


def _check_strategies(kan: KAN, rows_of_all_kinds: RowsOf, float64_answers: Answers) -> None:
    rows = rows_of_all_kinds(kan)
    wanted = float64_answers(kan, rows)
    for strategy in applicable(kan):
        got = run(predicting_model(kan, None, None, [strategy] * len(kan.layers)), rows)
        assert_within(np.abs(got - wanted), bound(kan, strategy, rows), strategy)


@settings(deadline=None, max_examples=30)
@given(kan=networks(max_layers=1))
def test_every_strategy_equals_scipy_inside_the_domain(kan: KAN, rows_of_all_kinds: RowsOf) -> None:
    """SciPy's BSpline and a silu written here, which know nothing of ours."""
    (layer,) = kan.layers
    low, high = layer.domain.double().numpy().T
    rows = np.clip(rows_of_all_kinds(kan), low, high).astype(np.float32)
    wanted = scipy_answers(layer, rows)
    for strategy in applicable(kan):
        got = run(predicting_model(kan, None, None, [strategy]), rows)
        assert_within(np.abs(got - wanted), bound(kan, strategy, rows), strategy)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(kan=networks(), data=st.data())
def test_missing_values_reach_their_own_rows_only(kan: KAN, data: st.DataObject, rows_of_all_kinds: RowsOf) -> None:
    """NaN in a feature that is read makes the row's answers NaN, whatever the base weights; no other row is touched.

    Where edges are pruned, an answer that NaN cannot reach may be NaN or what it was.
    """
    rows = rows_of_all_kinds(kan)
    missing = rows.copy()
    places = data.draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, kan.width[0] - 1)), min_size=1))
    for place in places:
        missing[place] = np.nan
    with torch.no_grad():
        reach = [torch.from_numpy(np.isnan(missing)).double()]
        for layer in kan.layers:
            reach.append(reach[-1] @ layer.active_edges.double().T)
    reached = reach[-1].numpy() > 0
    touched = np.isnan(missing).any(axis=1)
    for strategy in applicable(kan):
        model = predicting_model(kan, None, None, [strategy] * len(kan.layers))
        before, after = run(model, rows), run(model, missing)
        assert np.isnan(after[reached]).all(), strategy
        np.testing.assert_array_equal(after[~touched], before[~touched], err_msg=strategy.name)


@pytest.mark.slow
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("rows", [1, 2])
def test_the_smallest_network(degree: int, outside: Outside, rows: int, float64_answers: Answers) -> None:
    """One input, one output, one interval, one row: by every strategy; G = 1 has no inner knot."""
    coefficients = torch.linspace(-1, 1, degree + 1).square().reshape(1, 1, -1)
    domain = torch.tensor([[-0.5, 1.0]])
    layer = KANLayer(torch.tensor([[0.5]]), coefficients, degree=degree, outside=outside, domain=domain)
    kan = KAN.of_layers([layer])
    strategies = applicable(kan)
    assert {"closed_form", "pieces", "cox_de_boor"} <= {each.name for each in strategies}
    for strategy in strategies:
        model = predicting_model(kan, None, None, [strategy])
        for start in np.linspace(-2, 2.5, 10):
            x = np.array([[start], [start + 0.1]], np.float32)[:rows]
            got = run(model, x)
            assert got.shape == (rows, 1)
            assert_within(np.abs(got - float64_answers(kan, x)), bound(kan, strategy, x), strategy)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("outside", ["clamp", "decay"])
def test_weights_that_are_all_zero_answer_zero(
    strategy: Strategy, outside: Outside, make_kan: Callable[..., KAN], rows_of_all_kinds: RowsOf
) -> None:
    """Exactly, for every finite input."""
    kan = make_kan(outside=outside, grid_size=8, dtype=torch.float32)
    with torch.no_grad():
        for parameter in kan.parameters():
            parameter.zero_()
    strategies = [each if each.applies(kan.layers[0]) else STRATEGIES[-1] for each in (strategy, strategy)]
    assert not run(predicting_model(kan, None, None, strategies), rows_of_all_kinds(kan)).any()


def test_every_network_has_a_strategy_and_names_are_told_apart() -> None:
    """Cox–de Boor, the last, applies to all; the manifest's names are unique, and each has a bound here."""
    names = [strategy.name for strategy in STRATEGIES]
    assert len(set(names)) == len(names)
    assert names[-1] == "cox_de_boor"
    assert set(names) == set(CONDITIONS)


def applicable(kan: KAN) -> list[Strategy]:
    """The strategies that apply to every layer; never none."""
    strategies = [strategy for strategy in STRATEGIES if all(strategy.applies(layer) for layer in kan.layers)]
    assert strategies
    return strategies


def assert_within(error: Values, most: Values, strategy: Strategy) -> None:
    """Every error within its own bound; NaN is not."""
    share = np.divide(error, most, out=np.where(error == 0, 0.0, np.inf), where=most > 0)
    assert np.all(share <= 1), f"{strategy.name}: {np.nanmax(share):.3g} times its bound, {np.isnan(share).sum()} NaN"


def scipy_answers(layer: KANLayer, rows: Rows) -> Values:
    """Node values of one layer, inside its domain."""
    x = rows.astype(np.float64)
    weight = (layer.base_weight * layer.edge_mask).detach().double().numpy()
    total = (x / (1 + np.exp(-x))) @ weight.T
    low, high = layer.domain.double().numpy().T
    steps = np.arange(-layer.degree, layer.grid_size + layer.degree + 1) / layer.grid_size
    for i, coefficients in enumerate(_coefficients(layer).transpose(1, 2, 0)):
        knots = low[i] + (high[i] - low[i]) * steps if layer.knots is None else layer.knots[i].double().numpy()
        total += BSpline(knots, coefficients, layer.degree)(x[:, i])
    result: Values = total
    return result


def bound(kan: KAN, strategy: Strategy, rows: Rows) -> Values:
    """How far a graph of this strategy may be off, ``[rows, outputs]``; derived at the top."""
    x = torch.from_numpy(rows).double()
    off = np.zeros(rows.shape)
    for layer in copy.deepcopy(kan).double().layers:
        weight = (layer.base_weight * layer.edge_mask).abs().detach().numpy()
        knots = layer.all_knots().detach().numpy()
        slope = _slopes(layer)
        size = np.abs(np.clip(x.numpy(), knots[:, 0], knots[:, -1])) + np.abs(knots).max(axis=1)
        roundings = size @ slope.T + np.abs(x.numpy()) @ weight.T + CONDITIONS[strategy.name](layer).sum(axis=1)
        off = off @ (slope + 1.1 * weight).T + SAFETY * ROUNDOFF * roundings
        with torch.no_grad():
            x = layer(x)
    return off


def _coefficients(layer: KANLayer) -> Values:
    result: Values = (layer.coefficients * layer.edge_mask.unsqueeze(-1)).detach().double().numpy()
    return result


def _size(layer: KANLayer) -> Values:
    """Each edge's largest coefficient, which bounds its spline, ``[outputs, inputs]``."""
    result: Values = np.abs(_coefficients(layer)).max(axis=-1)
    return result


def _slopes(layer: KANLayer) -> Values:
    """Bound on each spline's derivative, ``[outputs, inputs]``: the derivative's own B-spline coefficients.

    Under ``decay`` the coefficients beyond the last are zero. Moving all knots is moving x, so this bounds what rounded
    knots do, too.
    """
    degree, coefficients = layer.degree, _coefficients(layer)
    count = coefficients.shape[-1]
    knots = layer.all_knots().detach().double().numpy()
    first, last = 1, count
    if layer.outside == "decay":
        coefficients, first, last = np.pad(coefficients, ((0, 0), (0, 0), (1, 1))), 0, count + 1
    widths = knots[:, first + degree : last + degree] - knots[:, first:last]
    result: Values = np.max(degree * np.abs(np.diff(coefficients, axis=-1)) / widths, axis=-1)
    return result


def _of_recursion(layer: KANLayer) -> Values:
    """Cox–de Boor adds up positive numbers: nothing cancels, a few roundings a step."""
    return layer.degree * _size(layer)


def _of_closed_form(layer: KANLayer) -> Values:
    """Each of degree + 1 basis functions is Σ ±weight·(reach − v)^degree, no term of which exceeds its own at v = 0."""
    terms = sum(abs(weight) * reach**layer.degree for reach, weight in cardinal_terms(layer.degree))
    return _size(layer) * layer.degree * (layer.degree + 1) * terms


def _of_pieces(layer: KANLayer) -> Values:
    """Σ |s⁽ʲ⁾|·hʲ/j! ≤ Σ C(degree, j)·2ʲ·size = 3^degree·size: each difference of coefficients at most doubles them."""
    return _size(layer) * 3.0**layer.degree


def _of_truncated_powers(layer: KANLayer) -> Values:
    """One segment; polynomials as powers of x − centre, the middle knot or, where there is none, the middle."""
    knots = layer.all_knots().detach().double().numpy()
    low, high = knots[:, layer.degree], knots[:, -layer.degree - 1]

    def polynomial(inner: list[int]) -> Values:
        centres = (knots[:, inner[len(inner) // 2]] - low) / (high - low) if len(inner) % 2 else np.full(len(low), 0.5)
        return np.array([_polynomial_condition((), layer.degree, round(each, 2), layer.degree) for each in centres])

    return _of_powers(layer, [0, layer.grid_size], polynomial, is_nearer=False)


def _of_radial_powers(layer: KANLayer) -> Values:
    """Half the jump of a truncated power, on the way to the farther end; of the polynomial's terms the condition.

    They start at 0, 1, −1, 2 in units of the domain, beside x.
    """
    degree, size = layer.degree, _size(layer)
    jumps, knots = _jumps(layer) / (2 * factorial(degree)), layer.all_knots().detach().double().numpy()
    low, high = knots[:, degree], knots[:, -degree - 1]
    powers = np.zeros_like(size)
    for knot in range(degree + 1, degree + layer.grid_size):
        powers += jumps[..., knot] * np.maximum(knots[:, knot] - low, high - knots[:, knot]) ** degree
    starts = (0.0, 1.0, -1.0, 2.0)[: degree - 1]
    return degree * (powers + _polynomial_condition(starts, 1, 0.0, degree) * (size + powers))


def _of_segments(intervals: int) -> Callable[[KANLayer], Values]:
    """Polynomials as powers that start at 0, 1, ½, −1, 2 in units of a segment; each input has segments of its own."""
    starts = (0.0, 1.0, 0.5, -1.0, 2.0)

    def condition(layer: KANLayer) -> Values:
        polynomial = np.array(_polynomial_condition(starts[: layer.degree], 0, 0.0, layer.degree))
        count = -(-layer.grid_size // intervals)
        cuts = even_cuts(layer.grid_size, count, layer.inputs)
        if layer.knots is not None:
            breaks = layer.knots[:, layer.degree : -layer.degree].double().numpy().T
            cuts = cut_by_jumps(layer, breaks, count)
        parts = [
            _of_powers(
                select_nodes(layer, np.array([i]), np.arange(layer.outputs)), ends.tolist(), lambda _: polynomial
            )
            for i, ends in enumerate(cuts.ends.T)
        ]
        return np.concatenate(parts, axis=1)

    return condition


def _of_powers(
    layer: KANLayer, breaks: list[int], polynomial: Callable[[list[int]], Values], *, is_nearer: bool = True
) -> Values:
    """The terms of truncated powers in segments between these breaks, times degree for their multiplications.

    A knot's power weighs J/degree!, where J is the jump of the spline's last derivative there, and grows to the
    distance from the knot to an end of the segment, to the degree. That is the nearer end, or without ``is_nearer`` the
    end that the middle knot is not beyond. What these leave of the spline is a polynomial no larger than spline and
    powers together. With J ≤ (2/h)^degree·2·size this grows as intervals^degree.
    """
    degree, size = layer.degree, _size(layer)
    jumps, knots = _jumps(layer) / factorial(degree), layer.all_knots().detach().double().numpy()
    ends = [degree + each for each in breaks]
    total = np.zeros_like(size)
    for first, last in pairwise(ends):
        inner = list(range(first + 1, last))
        powers = np.zeros_like(size)
        for place, knot in enumerate(inner):
            to_first, to_last = knots[:, knot] - knots[:, first], knots[:, last] - knots[:, knot]
            nearer = np.minimum(to_first, to_last)
            by_place = to_first if place < len(inner) // 2 else to_last
            powers += jumps[..., knot] * (nearer if is_nearer else by_place) ** degree
        total += powers + polynomial(inner) * (size + powers)
    if layer.outside == "decay":
        for i in range(degree):
            total += jumps[..., i] * (knots[:, degree] - knots[:, i]) ** degree
            total += jumps[..., -1 - i] * (knots[:, -1 - i] - knots[:, -degree - 1]) ** degree
    return degree * total


def _jumps(layer: KANLayer) -> Values:
    """By how much the splines' last derivatives, SciPy's, jump at each knot: ``[outputs, inputs, knots]``."""
    degree, coefficients = layer.degree, _coefficients(layer)
    jumps = []
    for i, knots in enumerate(layer.all_knots().detach().double().numpy()):
        beyond = np.arange(1, degree + 1) * (knots[-1] - knots[0])
        padded = np.concatenate([knots[0] - beyond[::-1], knots, knots[-1] + beyond])
        spline = BSpline(padded, np.pad(coefficients[:, i], ((0, 0), (degree, degree))).T, degree)
        between = np.concatenate(
            [[knots[0] - beyond[0] / 2], (knots[1:] + knots[:-1]) / 2, [knots[-1] + beyond[0] / 2]]
        )
        jumps.append(np.abs(np.diff(spline.derivative(degree)(between), axis=0)).T)
    return np.stack(jumps, axis=1)


@cache
def _polynomial_condition(starts: tuple[float, ...], exponents: int, centre: float, degree: int) -> float:
    """How large the terms grow on [0, 1] for a polynomial within ±1.

    The terms are (z − start)^degree for each start, (z − centre)^1, … up to the exponent, and 1; the polynomial is
    given by its Chebyshev coefficients, none of which exceeds 4/π.
    """

    def terms(z: Values) -> Values:
        powers = [(z - start) ** degree for start in starts]
        return np.stack([*powers, *((z - centre) ** exponent for exponent in range(exponents + 1))], axis=1)

    z = np.linspace(0, 1, 100)
    weights = np.linalg.lstsq(terms(z), np.polynomial.chebyshev.chebvander(2 * z - 1, degree), rcond=None)[0]
    return float(np.sum(np.abs(terms(z)).max(axis=0) @ np.abs(weights)) * 4 / np.pi)


CONDITIONS: Mapping[str, Callable[[KANLayer], Values]] = {
    "radial_powers": _of_radial_powers,
    "truncated_powers": _of_truncated_powers,
    "closed_form": _of_closed_form,
    "segments_5": _of_segments(5),
    "segments_10": _of_segments(10),
    "pieces": _of_pieces,
    "cox_de_boor": _of_recursion,
}

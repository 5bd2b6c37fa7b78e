"""Formulas against the network in float64, against its lowering, and against formulas of textbooks."""

import copy
import math
import re
from collections.abc import Callable, Sequence
from itertools import cycle, pairwise

import numpy as np
import pytest
import sympy
import torch
from matplotlib.mathtext import MathTextParser
from numpy.typing import NDArray

from kan_model import KAN, KANConfig, KANLayer, SymbolicEdge
from kan_model.formula.expression import Formula, formula
from kan_model.lowering import lower
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.network.functions import FUNCTIONS
from kan_model.network.products import Products
from kan_model.network.transform import Affine, Exponential, InputTransform, Softmax
from kan_model.onnx_runtime import run

Values = NDArray[np.float64]

# Where each function is finite and no steeper than a few times its size; [-1, 1] for all others.
CALM = {
    **dict.fromkeys(("1/x", "1/x^2", "1/x^3", "1/x^4", "1/x^5", "sqrt", "x^1.5", "1/sqrt(x)", "log"), (0.7, 1.6)),
    **dict.fromkeys(("arcsin", "arccos", "arctanh"), (-0.8, 0.8)),
    "sgn": (0.5, 1.5),
}
INPUTS = InputTransform(np.array([10, -1, 0.3], np.float32), np.array([0.1, 2.5, 1], np.float32))
OUTPUTS = Affine(np.array([50, -3], np.float32), np.array([20, 0.1], np.float32))


def _layer(edges: Sequence[SymbolicEdge], inputs: int, outputs: int, bias: Sequence[float] | None = None) -> KANLayer:
    """These edges and no other."""
    (layer,) = KAN(KANConfig((inputs, outputs)), dtype=torch.float64).layers
    none = torch.zeros(outputs, inputs, dtype=torch.float64)
    return layer.changed(
        symbolic=edges, edge_mask=none, bias=None if bias is None else torch.tensor(bias, dtype=torch.float64)
    )


def _chain(*functions: str) -> KAN:
    """[1, 1, …, 1]: one function after another."""
    return KAN.of_layers([_layer([SymbolicEdge(0, 0, name, 1, 0, 1, 0)], 1, 1) for name in functions])


def _rows(count: int = 200) -> Values:
    """Raw rows; INPUTS scales their features to [-1, 1]."""
    scaled = np.random.default_rng(1).uniform(-1, 1, (count, 3))
    rows: Values = scaled / INPUTS.scale.astype(float) + INPUTS.center.astype(float)
    return rows


def _random_kan(width: Sequence[int], seed: int, functions: Sequence[str] = tuple(FUNCTIONS)) -> KAN:
    """A network of symbolic edges with these functions in turn, a fifth pruned, with biases; moderate on _rows."""
    random = np.random.default_rng(seed)
    names = cycle(random.permutation(list(functions)).tolist())
    with torch.no_grad():
        values, layers = INPUTS(torch.from_numpy(_rows())), []
        for inputs, outputs in pairwise(width):
            edges = []
            for output in range(outputs):
                for input_ in range(inputs):
                    if input_ == output % inputs or random.random() < 0.8:
                        name = next(names)
                        low, high = CALM.get(name, (-1.0, 1.0))
                        least, most = values[:, input_].min().item(), values[:, input_].max().item()
                        a = (high - low) / max(most - least, 0.1)
                        c, d = random.choice([-1, 1]) * random.uniform(0.3, 1.5), random.normal()
                        edges.append(SymbolicEdge(output, input_, name, a, low - a * least, c, d))
            layers.append(_layer(edges, inputs, outputs, random.normal(size=outputs).tolist()))
            values = layers[-1](values)
    return KAN.of_layers(layers)


def _network(kan: KAN, rows: Values, inputs: InputTransform | None, outputs: Affine | None) -> Values:
    """The network in float64 with its transforms."""
    with torch.no_grad():
        x = torch.from_numpy(np.asarray(rows, dtype=np.float64))
        y = copy.deepcopy(kan).double()(x if inputs is None else inputs(x))
        result: Values = (y if outputs is None else outputs(y)).numpy()
    return result


def _composed(found: Formula, rows: Values) -> Values:
    """The expressions as one NumPy function."""
    function = sympy.lambdify([found.symbols], list(found.expressions), "numpy")
    with np.errstate(all="ignore"):
        return np.stack([np.broadcast_to(column, len(rows)) for column in function(rows.T)], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("width", [(3, 2), (3, 4, 2), (3, 4, 3, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_the_formula_is_the_network(width: tuple[int, ...], seed: int) -> None:
    """In raw units, for one to three layers with biases and pruned edges, the formula equals the network to 1e-10."""
    kan, rows = _random_kan(width, seed), _rows()
    found = formula(kan, inputs=INPUTS, outputs=OUTPUTS)
    wanted = _network(kan, rows, INPUTS, OUTPUTS)
    assert np.isfinite(wanted).all()
    assert (np.ptp(wanted, axis=0) > 1e-3).all()
    atol = 1e-10 * np.ptp(wanted, axis=0).min()
    np.testing.assert_allclose(found.evaluate(rows), wanted, rtol=1e-10, atol=atol)
    np.testing.assert_allclose(_composed(found, rows), wanted, rtol=1e-10, atol=atol)


def test_networks_of_these_tests_have_every_function() -> None:
    """The four seeds of three layers use the whole library."""
    layers = [layer for seed in range(4) for layer in _random_kan((3, 4, 3, 2), seed).layers]
    assert {name for layer in layers for name in layer.symbolic_functions} == set(FUNCTIONS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_formula_is_the_lowering(seed: int) -> None:
    """The formula equals onnxruntime's answers to the same float32 rows, within 1e-5 of the output's range."""
    # The lowering also tries features up to 1e6, where the others are too large or too steep for float32.
    tame = ("0", "x", "abs", "tanh", "arctan", "sigmoid", "silu", "gaussian")
    kan = _random_kan((3, 4, 2), seed, tame).float()
    rows = _rows().astype(np.float32)
    lowered = lower(kan, inputs=INPUTS, outputs=OUTPUTS, training_rows=rows, tune_for=())
    _same_within_float32(run(lowered.model, rows), formula(kan, inputs=INPUTS, outputs=OUTPUTS).evaluate(rows))


@pytest.mark.parametrize("seed", range(4))
def test_the_formula_is_the_graph(seed: int) -> None:
    """The formula equals the graph for all functions, three layers deep, on the network's own rows."""
    kan = _random_kan((3, 4, 3, 2), seed).float()
    rows = _rows().astype(np.float32)
    graph = predicting_model(kan, INPUTS, OUTPUTS, STRATEGIES[:1] * 3)
    _same_within_float32(run(graph, rows), formula(kan, inputs=INPUTS, outputs=OUTPUTS).evaluate(rows))


def _same_within_float32(got: NDArray[np.float32], wanted: Values) -> None:
    assert np.isfinite(wanted).all()
    assert (np.abs(got - wanted) < 1e-5 * np.ptp(wanted, axis=0)).all()


def test_a_product_is_found_from_its_network() -> None:
    """(a + b)²/4 − (a − b)²/4 becomes a·b with simplify; without it both squares stay."""
    sums = [SymbolicEdge(0, 0, "x", 1, 0, 1, 0), SymbolicEdge(0, 1, "x", 1, 0, 1, 0)]
    sums += [SymbolicEdge(1, 0, "x", 1, 0, 1, 0), SymbolicEdge(1, 1, "x", -1, 0, 1, 0)]
    squares = [SymbolicEdge(0, 0, "x^2", 1, 0, 0.25, 0), SymbolicEdge(0, 1, "x^2", 1, 0, -0.25, 0)]
    kan = KAN.of_layers([_layer(sums, 2, 2), _layer(squares, 2, 1)])
    assert formula(kan, names=["a", "b"]).text == ("-0.25*(a - b)**2 + 0.25*(a + b)**2",)
    found = formula(kan, names=["a", "b"], simplify=True)
    assert found.text == ("a*b",)
    assert found.latex == ("a b",)
    assert found.expressions == formula(kan, names=["a", "b"]).expressions


def test_a_node_that_multiplies_is_a_product() -> None:
    """(x + 1)·exp(2·y) and its shifted double, in one node each; the rows' answers are the network's."""
    edges = [SymbolicEdge(0, 0, "x", 1, 0, 1, 1), SymbolicEdge(1, 1, "exp", 2, 0, 1, 0)]
    first = _layer(edges, 2, 2).changed(products=Products(((0, 1),)))
    kan = KAN.of_layers([first, _layer([SymbolicEdge(0, 0, "x", 1, 0, 2, 3)], 1, 1)])
    found = formula(kan, names=["x", "y"])
    assert found.text == ("2*(x + 1)*exp(2*y) + 3",)
    rows = np.random.default_rng(0).normal(size=(50, 2))
    wanted = 2 * (rows[:, :1] + 1) * np.exp(2 * rows[:, 1:]) + 3
    np.testing.assert_allclose(found.evaluate(rows), wanted, rtol=1e-14)
    np.testing.assert_allclose(_network(kan, rows, None, None), wanted, rtol=1e-12)


def test_feynman_ii_35_18_in_raw_units() -> None:
    """n0/(e^a + e^(−a)): as the exponential of log(n0) − log(2·cosh(a)), of scaled features."""
    first = [SymbolicEdge(0, 0, "cosh", 2, 1, 2, 0), SymbolicEdge(1, 1, "log", 0.5, 1.5, 1, 0)]
    second = [SymbolicEdge(0, 0, "log", 1, 0, -1, 0), SymbolicEdge(0, 1, "x", 1, 0, 1, 0)]
    kan = KAN.of_layers([_layer(first, 2, 2), _layer(second, 2, 1), _chain("exp").layers[0]])
    # The network reads (a − 1)/2 and 2·n0 − 3.
    inputs = InputTransform(np.array([1, 1.5], np.float32), np.array([0.5, 2], np.float32))
    found = formula(kan, inputs=inputs, names=["a", "n0"])
    a, n0 = found.symbols
    assert sympy.simplify((found.expressions[0] - n0 / (sympy.exp(a) + sympy.exp(-a))).rewrite(sympy.exp)) == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ieee_answers_beyond_the_domain(name: str) -> None:
    """Zero, poles, logarithms of negative numbers, infinities, NaN: never an exception or a warning."""
    x = np.array([0.0, -0.0, 1, -1, 2, -2, 1e6, -1e6, math.pi / 2, np.nan, np.inf, -np.inf])
    layer = _layer([SymbolicEdge(0, 0, name, 0.5, 0, 2, 0.25), SymbolicEdge(1, 0, name, 1, 0, -1, 0)], 1, 2)
    got = formula(KAN.of_layers([layer])).evaluate(x[:, None])
    function, tensor = FUNCTIONS[name].torch, torch.from_numpy(x)
    with np.errstate(all="ignore"):
        wanted = np.stack([2 * function(0.5 * tensor + 0).numpy() + 0.25, -function(tensor + 0).numpy()], axis=1)
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-13)


def test_an_infinity_goes_on_through_further_layers() -> None:
    """Infinities and NaN go through further layers: exp(−1/x) at 0 is 0 or infinite, log(−1) is NaN."""
    pole = KAN.of_layers([_chain("1/x").layers[0], _layer([SymbolicEdge(0, 0, "exp", -1, 0, 1, 0)], 1, 1)])
    assert formula(pole).evaluate([[0.0], [1.0]])[:, 0].tolist() == [0.0, math.exp(-1)]
    assert np.isnan(formula(_chain("log", "arctan")).evaluate([[-1.0]])).all()


@pytest.mark.parametrize(("inner", "outer"), [("log", "exp"), ("sqrt", "x^2"), ("arcsin", "sin"), ("arctanh", "tanh")])
def test_evaluating_keeps_the_domain_that_sympy_forgets(inner: str, outer: str) -> None:
    """exp(log(x)) is shown as x, but it is NaN at −2."""
    found = formula(_chain(inner, outer))
    assert found.expressions == found.symbols
    assert np.isnan(found.evaluate([[-2.0]])).all()
    np.testing.assert_allclose(found.evaluate([[0.5]]), 0.5, rtol=1e-15)


@pytest.mark.parametrize(("name", "value"), [("log", -1.0), ("1/x", 0.0), ("log", 0.0), ("sqrt", -1.0), ("sin", 0.5)])
def test_functions_of_constants_are_numbers(name: str, value: float) -> None:
    """A node without edges is its bias; a function of it is the float64 result, not iπ or z∞."""
    first = _layer([], 1, 1, [value])
    kan = KAN.of_layers([first, _layer([SymbolicEdge(0, 0, name, 1, 0, 2, 0)], 1, 1)])
    found = formula(kan)
    wanted = _network(kan, np.zeros((1, 1)), None, None).item()
    np.testing.assert_equal(float(found.expressions[0]), wanted)
    np.testing.assert_equal(found.evaluate([[3.0]]).item(), wanted)
    np.testing.assert_equal(_composed(found, np.zeros((1, 1))).item(), wanted)


def test_a_root_of_what_is_negative_everywhere_is_no_complex_number() -> None:
    """√(−e^x) is NaN in the formula, as in the network."""
    kan = KAN.of_layers(
        [_layer([SymbolicEdge(0, 0, "exp", 1, 0, -1, 0)], 1, 1), _layer([SymbolicEdge(0, 0, "sqrt", 1, 0, 1, 0)], 1, 1)]
    )
    assert formula(kan).expressions == (sympy.nan,)
    assert np.isnan(formula(kan).evaluate([[1.0]])).all()


@pytest.mark.parametrize("name", ["exp", "sigmoid", "silu"])
def test_large_shifts_stay_inside_of_exponentials(name: str) -> None:
    """With years as inputs the formula has e^(2020.25 − x), not 1e877·e^(−x), which is beyond float64."""
    inputs = InputTransform(np.array([2020.25], np.float32), np.array([1], np.float32))
    kan = KAN.of_layers([_layer([SymbolicEdge(0, 0, name, -1.5, 0, 1, 0)], 1, 1)])
    found = formula(kan, inputs=inputs, names=["year"], digits=3)
    years = np.linspace(2015, 2025, 50)[:, None]
    wanted = _network(kan, years, inputs, None)
    np.testing.assert_allclose(_composed(found, years), wanted, rtol=1e-10)
    assert "3030" in found.text[0]
    assert "e+" not in found.text[0]


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("degree", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_splines_that_are_kept_are_still_known(
    make_kan: Callable[..., KAN], outside: str, degree: int, dtype: torch.dtype
) -> None:
    """`evaluate` knows kept splines: with symbolic and pruned edges, on uneven knots, inside and outside the domain."""
    kan = make_kan(outside=outside, degree=degree, dtype=dtype, uneven=True)
    mask = torch.ones(4, 3, dtype=dtype)
    mask[2] = 0
    first = kan.layers[0].changed(edge_mask=mask, bias=torch.linspace(-0.5, 0.5, 4, dtype=dtype))
    second = kan.layers[1].with_symbolic([SymbolicEdge(1, 0, "sin", 1.5, 0, 1, 0.5)])
    kan = KAN.of_layers([first, second])
    found = formula(kan, splines="keep", names=["u", "v", "w"])
    rows = np.random.default_rng(0).uniform(-3, 3, (100, 3))
    np.testing.assert_allclose(found.evaluate(rows), _network(kan, rows, None, None), rtol=1e-12, atol=1e-12)
    first_node = "phi_0_0_0(u) + phi_0_0_1(v) + phi_0_0_2(w)"
    assert f"phi_1_0_0({first_node} - 0.5)" in found.text[0]
    assert f"sin(1.5*{first_node.replace(' + ', ' + 1.5*')} - 0.75)" in found.text[1]
    assert r"\phi_{1,0,0}{\left(" in found.latex[0]
    # 9 before nodes that are fed, 7 of them not of node 2, whose value is a number.
    assert "14 edges are splines" in found.notes[0]


def test_splines_are_refused_by_place_and_number(make_kan: Callable[..., KAN]) -> None:
    """The error names the first spline, the number of splines and the remedy; a spline of a constant does not count."""
    with pytest.raises(ValueError, match=r"20 edges .*input 0"):
        formula(make_kan())
    (layer,) = make_kan((1, 2)).layers
    one = layer.with_symbolic([SymbolicEdge(0, 0, "x", 1, 0, 1, 0)])
    with pytest.raises(ValueError, match=r'one edge .*output 1.*splines="keep"'):
        formula(KAN.of_layers([one]))
    constant = KAN.of_layers([_layer([], 2, 1, [0.25]), layer])
    found = formula(constant)
    wanted = _network(constant, np.zeros((1, 2)), None, None)
    np.testing.assert_allclose([[float(each) for each in found.expressions]], wanted, rtol=1e-14)
    np.testing.assert_allclose(found.evaluate([[1, 2]]), wanted, rtol=1e-14)


def test_a_spline_that_no_output_depends_on_is_no_obstacle(make_kan: Callable[..., KAN]) -> None:
    """A spline to a hidden node that no edge reads is no obstacle."""
    first = make_kan((1, 2)).layers[0].with_symbolic([SymbolicEdge(0, 0, "sin", 1, 0, 1, 0)])
    kan = KAN.of_layers([first, _layer([SymbolicEdge(0, 0, "x", 1, 0, 1, 0)], 2, 1)])
    assert formula(kan, names=["t"]).text == ("sin(t)",)


NAMES = [
    *("petal width (cm)", "lambda", "x y", "x  y", "2nd", "größe", "温度", "a", "a", "", " ", "sin", "arcsin", "exp"),
    *("e", "E", "pi", "I", "x_1", "x1", "theta", "theta_2", "µ", "μ", "`q`", "new\nline", "phi_0_0_0", "None", "😀"),
    *(
        "numpy",
        "array",
        "a$b%c#d&e_f{g}h~i^j\\k",
        "x_y",
        "a [8]",
        "[10]",
        "_",
        "__",
        "beta",
        "Q",
        "Abs",
        "1",
        "-1",
        "\\",
    ),
    *("²", "2", "ﬁ", "fi", "$x$", "{", "}", "}{", "100%", "a_b", "a b", "a-b", "true", "_x", "alpha beta", "x_", "\t"),
]


@pytest.fixture(scope="module")
def of_names() -> Formula:
    """The formula of a sum of squares or exponentials of all columns, each with its own factor."""
    count = len(NAMES)
    first = [SymbolicEdge(index, index, "exp" if index % 2 else "x^2", 1 + index, 0, 1, 0) for index in range(count)]
    edges = [SymbolicEdge(0, index, "x", 1, 0, 1 / (1 + index), 0) for index in range(count)]
    return formula(KAN.of_layers([_layer(first, count, count), _layer(edges, count, 1)]), names=NAMES, digits=3)


def test_columns_of_any_name_are_distinct_symbols(of_names: Formula) -> None:
    """Python identifiers, in any form of Unicode, that hide no function: the formula is still the right one."""
    symbols = [symbol.name for symbol in of_names.symbols]
    assert len(set(symbols)) == len(NAMES)
    assert all(symbol.isidentifier() for symbol in symbols)
    assert of_names.names == tuple(NAMES)
    rows = np.random.default_rng(0).uniform(-0.01, 0.01, (10, len(NAMES)))
    steps = 1 + np.arange(len(NAMES))
    wanted = (np.where(np.arange(len(NAMES)) % 2, np.exp(rows * steps), (rows * steps) ** 2) / steps).sum(axis=1)
    np.testing.assert_allclose(_composed(of_names, rows)[:, 0], wanted, rtol=1e-12)
    np.testing.assert_allclose(of_names.evaluate(rows)[:, 0], wanted, rtol=1e-12)
    # Python, too, reads the expression back.
    names = dict(zip(symbols, of_names.symbols, strict=True))
    again = sympy.sympify(str(of_names.shown[0]), locals=names)
    assert again.free_symbols == set(of_names.symbols)


def test_text_says_the_columns_own_names(of_names: Formula) -> None:
    """The text has the columns' own names, in backticks if they are no identifiers."""
    assert all(name in of_names.text[0] for name in NAMES)
    for written in ("`petal width (cm)`", "`lambda`", "`a [8]`", "größe", "`sin`"):
        assert written in of_names.text[0]


def test_latex_of_any_name_compiles(of_names: Formula) -> None:
    """LaTeX of any name compiles in mathtext; mathematical names are set as in mathematics, others upright."""
    assert len(MathTextParser("path").parse(f"${of_names.latex[0]}$").glyphs) > 300
    for written in (r"\text{petal width (cm)}", r"\lambda", "x_{1}", r"\theta_{2}", r"\text{a\_b}", r"100\%"):
        assert written in of_names.latex[0]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "digits"), [(0, None), (1, 3), (2, 3), (3, 3)])
def test_latex_of_any_network_compiles(seed: int, digits: int | None) -> None:
    """Every function, three layers deep, in mathtext."""
    found = formula(_random_kan((3, 4, 3, 2), seed), names=["theta", "petal width", "x_2"], digits=digits)
    for latex in found.latex:
        assert MathTextParser("path").parse(f"${latex}$").width > 0


def test_text_can_be_read_back() -> None:
    """Without rounding, the plain text says the numbers to the last digit."""
    kan, rows = _random_kan((3, 4, 2), 0), _rows()
    found = formula(kan, inputs=INPUTS, names=["u", "v", "w"])
    names = {symbol.name: symbol for symbol in found.symbols}
    again = [sympy.sympify(text, locals=names) for text in found.text]
    got = np.stack(sympy.lambdify([found.symbols], again, "numpy")(rows.T), axis=1)
    np.testing.assert_allclose(got, _composed(found, rows), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("digits", [1, 3, 6])
def test_numbers_are_rounded_for_people_only(digits: int) -> None:
    """No number shown has more digits; the expressions have all of them."""
    kan = _random_kan((3, 4, 2), 1)
    found = formula(kan, inputs=INPUTS, names=["u", "v", "w"], digits=digits)
    numbers = re.findall(r"(?<![\w.])\d+\.\d+(?:e[+-]\d+)?", " ".join(found.text))
    assert len(numbers) > 5
    for number in numbers:
        assert float(number) == float(f"{float(number):.{digits}g}")
    assert found.expressions == formula(kan, inputs=INPUTS, names=["u", "v", "w"]).expressions
    assert found.notes == (f"As shown, numbers are rounded to {digits} significant digits.",)


def test_numbers_near_whole_ones_become_whole_where_asked() -> None:
    """1.0000003·x + 1e-8 becomes x with near = 1e-6, and stays without it."""
    kan = KAN.of_layers([_layer([SymbolicEdge(0, 0, "x^2", 1.0000003, 1e-8, 2.0000001, 0)], 1, 1)])
    assert formula(kan, names=["x"], near=1e-6).text == ("2*x**2",)
    assert formula(kan, names=["x"]).text == ("2.0000001*(1.0000003*x + 1e-8)**2",)


def test_no_factor_becomes_zero() -> None:
    """A factor of 1e-7 stays, since an income times 1e-7 matters; a constant of 1e-8 becomes 0 with `near`."""
    kan = KAN.of_layers([_layer([SymbolicEdge(0, 0, "sin", 1e-7, 1e-8, 0.5, 2e-7)], 1, 1)])
    assert formula(kan, names=["income"], near=1e-6).text == ("0.5*sin(1e-7*income)",)


def test_numbers_that_would_undo_the_formula_stay() -> None:
    """Numbers stay if the formula would divide by zero without them: 1/(sin(1.0000001·x) − sin(x))."""
    sines = [SymbolicEdge(0, 0, "sin", 1.0000001, 0, 1, 0), SymbolicEdge(1, 0, "sin", 1, 0, 1, 0)]
    difference = [SymbolicEdge(0, 0, "x", 1, 0, 1, 0), SymbolicEdge(0, 1, "x", 1, 0, -1, 0)]
    kan = KAN.of_layers([_layer(sines, 1, 2), _layer(difference, 2, 1), *_chain("1/x").layers])
    for options in ({"near": 1e-6}, {"digits": 3}):
        found = formula(kan, names=["x"], **options)
        assert found.text == ("1/(-sin(x) + sin(1.0000001*x))",)


def test_simplifying_does_not_expand_without_end() -> None:
    """((Σ xᵢ)⁵)⁵ has millions of terms when expanded: it is not expanded, and simplifying is fast."""
    width = 8
    sums = [SymbolicEdge(0, index, "x", 1, 0, 1, 0) for index in range(width)]
    kan = KAN.of_layers([_layer(sums, width, 1), *_chain("x^5", "x^5").layers])
    assert formula(kan, simplify=True).shown[0].is_Pow


def test_what_formulas_leave_out_is_said() -> None:
    """Imputation and softmax: the formulas are for rows that lack nothing, and are logits."""
    kan = _random_kan((3, 4, 2), 0)
    inputs = InputTransform(INPUTS.center, INPUTS.scale, np.zeros(3, np.float32))
    found = formula(kan, inputs=inputs, outputs=Softmax())
    assert [note.split()[-1] for note in found.notes] == ["none.", "softmax."]
    np.testing.assert_allclose(found.evaluate(_rows()), _network(kan, _rows(), INPUTS, None), rtol=1e-10)
    assert formula(kan, inputs=INPUTS).notes == ()


def test_an_exp_behind_the_network_is_in_the_formula() -> None:
    """The formula is of the answers, not of their logarithms."""
    kan = _random_kan((3, 2), 0)
    outputs = Exponential(OUTPUTS.center / np.float32(10), OUTPUTS.scale / np.float32(10))
    found = formula(kan, inputs=INPUTS, outputs=outputs)
    wanted = np.exp(_network(kan, _rows(), INPUTS, outputs.logarithm))
    np.testing.assert_allclose(found.evaluate(_rows()), wanted, rtol=1e-10)
    computed = sympy.lambdify([found.symbols], found.expressions[0])(_rows().T)
    np.testing.assert_allclose(computed, wanted[:, 0], rtol=1e-8)
    assert found.notes == ()


def test_the_network_is_left_as_it_is() -> None:
    """No number of it changes."""
    kan = _random_kan((3, 4, 2), 0)
    before = copy.deepcopy(kan.state_dict())
    formula(kan, inputs=INPUTS, outputs=OUTPUTS, simplify=True, digits=2).evaluate(_rows())
    assert all(torch.equal(tensor, before[name]) for name, tensor in kan.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["a", "b"]}, "2 names"),
        ({"names": ["a", 1, "c"]}, "a name is 1"),
        ({"digits": 0}, "digits is 0"),
        ({"digits": 18}, "digits is 18"),
        ({"splines": "drop"}, "splines is 'drop'; wanted"),
        ({"near": -1.0}, "near is -1.0"),
        ({"near": math.nan}, "near is nan"),
        ({"max_terms": 10}, r"\d+ terms; wanted 10"),
        (
            {"inputs": InputTransform(np.zeros(2, np.float32), np.ones(2, np.float32))},
            r"center of inputs .*\(2,\)",
        ),
        ({"outputs": Affine(np.zeros(2, np.float32), np.full(2, np.inf, np.float32))}, "scale of outputs is .*finite"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    """What came and what was wanted."""
    with pytest.raises(ValueError, match=message):
        formula(_random_kan((3, 4, 2), 0), **options)  # type: ignore[arg-type]


def test_a_network_that_went_astray_is_refused() -> None:
    """A network with NaN among its constants is refused, with the name of the constant."""
    kan = _random_kan((3, 4, 2), 0)
    with torch.no_grad():
        kan.layers[1].symbolic_affine[0, 1] = math.nan  # type: ignore[index]
    with pytest.raises(ValueError, match=r"symbolic_affine .*not finite"):
        formula(kan)


@pytest.mark.parametrize("shape", [(3,), (5, 2), (1, 3, 1)])
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """What came and what was wanted; no rows at all are no mistake."""
    found = formula(_random_kan((3, 2), 0))
    with pytest.raises(ValueError, match=r"wanted \[rows, 3\]"):
        found.evaluate(np.zeros(shape))
    assert found.evaluate(np.zeros((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("mean", [260872.4, 504118.0, -1010321.5, 0.3])
def test_a_mean_that_cancels_leaves_no_rounding(mean: float) -> None:
    """A network that takes the mean of the targets out again is 2·x + 0, not 2·x − 3e-11."""
    outputs = Affine(np.array([mean], np.float32), np.array([7.3], np.float32))
    shift = float(outputs.center[0]) / float(outputs.scale[0])
    edge = SymbolicEdge(0, 0, "x", 1, 0, 2 / float(outputs.scale[0]), 0)
    kan = KAN.of_layers([_layer([edge], 1, 1, [-shift])])
    assert formula(kan, outputs=outputs, digits=4, near=1e-12).text == ("2*x_0",)

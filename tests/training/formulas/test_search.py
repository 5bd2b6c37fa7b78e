"""Formulas are found again from rows of known laws."""

import re

import numpy as np
import pytest
import torch

from kan_model import KAN, KANConfig
from kan_model.formula.expression import formula
from kan_model.network.symbolic_edge import SymbolicEdge
from kan_model.symbolic.fit import fit_functions
from training.data.samples import Samples
from training.formulas import FormulaSearch, NoFormula, search_formula
from training.formulas.descent import error
from training.formulas.local_search import improve, make_form
from training.formulas.shapes import shape_text, shapes
from training.formulas.work import Work


def samples(x: np.ndarray, y: np.ndarray) -> Samples:
    """Rows with the targets divided by their deviation."""
    return Samples(torch.from_numpy(x), torch.from_numpy(y / y.std())[:, None])


def test_a_wrong_function_is_exchanged_for_the_right_one() -> None:
    """1/(0.85 − 0.54·cos(b)) is close to 1/(1 + b²), and becomes it."""
    x = np.random.default_rng(0).uniform(-2, 2, (200, 1))
    rows = samples(x, 1 / (1 + x[:, 0] ** 2))
    kan = KAN(KANConfig((1, 1, 1)), seed=0, dtype=torch.float64)
    inner, outer = SymbolicEdge(0, 0, "cos", 1.0, 0.0, -0.54, 0.85), SymbolicEdge(0, 0, "1/x", 1.0, 0.0, 2.0, 0.0)
    kan = kan.with_layers([kan.layers[0].with_symbolic([inner]), kan.layers[1].with_symbolic([outer])])
    work = Work(1e9, lambda: None)
    start = make_form(kan, rows, work)
    assert start is not None
    assert error(start.kan, rows) > 1e-5
    better = improve(start, rows, ("x", "x^2", "cos"), work)
    assert better.criterion < start.criterion
    assert error(better.kan, rows) < 1e-6
    assert better.kan.layers[0].symbolic_functions == ("x^2",)


def test_shapes_begin_with_the_simplest() -> None:
    """A sum comes first; each shape reads all inputs and gives one output."""
    assert shapes(1) == [(1, 1), (1, 1, 1)]
    assert shapes(3)[0] == (3, 1)
    assert all(shape[0] == 3 and shape[-1] in (1, (0, 1)) for shape in shapes(3))


def line(rows: int) -> Samples:
    """2·a + 1 with 1 % noise."""
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (rows, 1))
    return samples(x, 2 * x[:, 0] + 1 + 0.01 * random.standard_normal(rows))


def test_a_spent_budget_is_told_and_what_was_found_is_kept() -> None:
    """A tiny budget fits no network; one for the simplest shape gives the formula and says that it was cut short.

    No edge of it has a constant beside that of its sum.
    """
    rows = line(200)
    train, validation = rows.take(torch.arange(150)), rows.take(torch.arange(150, 200))
    none = search_formula(train, validation, functions=("x",), budget=100)
    assert isinstance(none, NoFormula)
    assert "budget" in none.reason
    for budget, is_cut_short in ((500, True), (5000, False)):
        found = search_formula(train, validation, functions=("x",), budget=budget)
        assert isinstance(found, FormulaSearch)
        assert found.is_cut_short == is_cut_short
        assert found.error < 0.03
        assert not any(edge.d for layer in found.kan.layers for edge in layer.symbolic)


def test_the_progress_counts_the_searches_and_their_budget() -> None:
    """Which search of how many, from which seed, and how much of its budget is used, ever more."""
    rows, told = line(200), list[str]()
    train, validation = rows.take(torch.arange(150)), rows.take(torch.arange(150, 200))
    search_formula(train, validation, functions=("x",), seeds=(3, 8), budget=5000, on_message=told.append)
    for number, seed in ((1, 3), (2, 8)):
        start = f"symbolic: search {number} of 2 (seed {seed}) "
        own = [text.removeprefix(start) for text in told if text.startswith(start)]
        assert own[0] == "fits networks of 2 shapes"
        assert own[1].startswith("chooses functions in shape [1, 1], 1 edge; ")
        assert re.fullmatch(r"took \d+ s and \d+% of its budget", own[-1])
        shares = [int(found[1]) for text in own if (found := re.search(r"(\d+)% of its budget", text))]
        assert shares == sorted(shares)
        assert 0 < shares[0] <= shares[-1] <= 100
    assert len(told) == sum("search 1 of 2" in text or "search 2 of 2" in text for text in told)


def test_a_shape_is_told_as_pykan_writes_it() -> None:
    """A pair of nodes that add and nodes that multiply is a list in the list."""
    assert shape_text((8, (0, 1), 1)) == "[8, [0, 1], 1]"


def test_a_search_in_many_rows_takes_few_and_fits_constants_to_more() -> None:
    """12,000 rows: the constants are closer to the law than those of 2,000 rows can be relied on to be."""
    rows = line(13_000)
    found = search_formula(rows.take(torch.arange(12_000)), rows.take(torch.arange(12_000, 13_000)), functions=("x",))
    assert isinstance(found, FormulaSearch)
    deviation = float(np.std(2 * np.random.default_rng(0).uniform(-1, 1, (13_000, 1))))
    answers = found.kan(torch.tensor([[-1.0], [1.0]], dtype=torch.float64)).detach().numpy()[:, 0] * deviation
    np.testing.assert_allclose(answers, [-1, 3], atol=1e-3)


def test_the_rows_of_both_parts_choose_the_functions() -> None:
    """50 noisy rows of 1/sqrt(x) prefer log, which 1,000 validation rows tell apart from it: 1/sqrt is found."""
    random = np.random.default_rng(1)
    x = random.uniform(0.5, 3, (1050, 1))
    truth = 1 / np.sqrt(x[:, 0])
    rows = samples(x, truth + 0.1 * truth.std() * random.standard_normal(1050))
    train, validation = rows.take(torch.arange(50)), rows.take(torch.arange(50, 1050))
    functions, criteria = ("log", "1/sqrt(x)"), dict[str, float]()
    for function in functions:
        layer = KAN(KANConfig((1, 1)), seed=0, dtype=torch.float64).layers[0]
        start = fit_functions(train.x[:, 0], train.y[:, 0], [function], dtype=torch.float64)[0]
        edge = SymbolicEdge(0, 0, function, start.a, start.b, start.c, start.d)
        form = make_form(KAN.of_layers([layer.with_symbolic([edge])]), train, Work(1e9, lambda: None))
        assert form is not None
        criteria[function] = form.criterion
    assert criteria["log"] < criteria["1/sqrt(x)"]
    found = search_formula(train, validation, functions=functions)
    assert isinstance(found, FormulaSearch)
    assert found.kan.layers[0].symbolic_functions == ("1/sqrt(x)",)


def test_another_form_that_the_rows_hardly_tell_is_told() -> None:
    """Of 50 noisy rows log and 1/sqrt are about as close, and each is told beside the other; 2,000 rows tell them."""
    random = np.random.default_rng(1)
    x = random.uniform(0.5, 3, (2000, 1))
    truth = 1 / np.sqrt(x[:, 0])
    rows = samples(x, truth + 0.1 * truth.std() * random.standard_normal(2000))
    functions = ("log", "1/sqrt(x)")
    few, many = (
        search_formula(rows.take(torch.arange(count)), rows.take(torch.arange(count, end)), functions=functions)
        for count, end in ((40, 50), (1500, 2000))
    )
    assert isinstance(few, FormulaSearch)
    assert isinstance(many, FormulaSearch)
    assert few.rival is not None
    found = [kan.layers[0].symbolic_functions[0] for kan in (few.kan, few.rival)]
    assert sorted(found) == sorted(functions)
    assert many.kan.layers[0].symbolic_functions == ("1/sqrt(x)",)
    assert many.rival is None


@pytest.mark.slow
def test_a_formula_that_a_few_rows_cannot_tell_from_the_law_does_not_end_the_search() -> None:
    """a/(1 + b²) with 5 % noise: a Gaussian in a simpler shape is as good on 75 validation rows, and is not taken."""
    random = np.random.default_rng(11)
    x = random.uniform([-1, -2], [1, 2], (400, 2))
    truth = x[:, 0] / (1 + x[:, 1] ** 2)
    rows = samples(x, truth + 0.05 * truth.std() * random.standard_normal(400))
    train, validation = rows.take(torch.arange(325)), rows.take(torch.arange(325, 400))
    found = search_formula(train, validation, functions=("x", "x^2", "1/x", "gaussian"))
    assert isinstance(found, FormulaSearch)
    with torch.no_grad():
        answers = found.kan(rows.x)[:, 0].numpy()
    # A Gaussian's error is 0.02 of the deviation.
    assert np.corrcoef(answers, truth)[0, 1] > 1 - 0.007**2 / 2


@pytest.mark.slow
def test_a_product_is_found_from_noisy_rows_whatever_the_seed() -> None:
    """a·sin(b) with 1 % noise: the form of two searches is the same, and its error is that of the noise."""
    random = np.random.default_rng(0)
    x = random.uniform([-1, -3], [1, 3], (250, 2))
    truth = x[:, 0] * np.sin(x[:, 1])
    y = truth + 0.01 * truth.std() * random.standard_normal(250)
    rows = samples(x, y)
    train = Samples(rows.x[:200], rows.y[:200])
    found = search_formula(
        train, Samples(rows.x[200:], rows.y[200:]), functions=("x", "x^2", "sin", "exp"), seeds=(0, 1)
    )
    assert isinstance(found, FormulaSearch)
    assert not found.is_cut_short
    assert (found.agreeing, found.searches) == (2, 2)
    assert found.error < 0.015
    text = formula(found.kan, names=("a", "b"), digits=2, near=0.01, simplify=True).text[0]
    assert "sin(b)" in text

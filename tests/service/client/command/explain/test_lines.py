"""Lines of explanations: the printed numbers add up, exactly, and are near the true ones."""

import math
import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client.command.explain.lines import MINUS, Term, explanation_line, show_cell, terms_of

_NUMBER = r"[0-9.]+(?:e−?[0-9]+)?"


def _parsed(line: str) -> tuple[Decimal, Decimal, list[Decimal]]:
    """The explained value, the baseline and the contributions of a line, as printed."""
    line = re.sub(r" \((?:[^()]*)\)", "", line)
    left, right = line.split(" = ")
    tokens = re.findall(rf"([+{MINUS}]?) ?({_NUMBER})", right)
    numbers = [Decimal(text.replace(MINUS, "-")) * (-1 if sign == MINUS else 1) for sign, text in tokens]
    return Decimal(left.replace(MINUS, "-")), numbers[0], numbers[1:]


def test_the_line_of_the_documentation() -> None:
    """The answer, the baseline, the largest contributions with their cells, and the rest."""
    columns, cells = ["age", "rooms", "lstat", "tax"], {"age": "30", "rooms": "7", "lstat": "3.2", "tax": "311"}
    terms = terms_of([-0.15, 0.81, 0.6, -0.06], columns, cells, top=2)
    assert [term.text for term in terms] == ["rooms 7", "lstat 3.2", "rest"]
    assert explanation_line(4.1, 2.9, terms) == "4.10 = 2.90 + 0.81 (rooms 7) + 0.60 (lstat 3.2) − 0.21 (rest)"


_VALUES = st.floats(-1e6, 1e6, width=32)


@given(st.lists(_VALUES, min_size=1, max_size=8), _VALUES, st.sampled_from([1e-30, 1e-9, 1e-3, 1, 1e4, 1e20]))
def test_printed_numbers_add_up(parts: list[float], baseline: float, scale: float) -> None:
    """For any contributions, at any scale; and no printed number is further away than its last two digits allow."""
    values = [part * scale for part in parts]
    explained = baseline * scale + sum(values)
    line = explanation_line(explained, baseline * scale, [Term(value, "x 1") for value in values])
    whole, base, printed = _parsed(line)
    assert whole == base + sum(printed)
    largest = max(abs(explained), abs(baseline * scale), *map(abs, values))
    spread = max(map(abs, values)) or largest
    allowed = max(spread * 0.1, largest * 1e-5) * (len(values) + 2)
    for value, shown in zip([explained, baseline * scale, *values], [whole, base, *printed], strict=True):
        assert abs(float(shown) - value) <= allowed


@pytest.mark.parametrize(
    ("explained", "baseline", "parts", "line"),
    [
        (0.0, 0.0, [0.0], "0.0 = 0.0 + 0.0 (rest)"),
        (213456.0, 201111.0, [12345.0], "213456 = 201111 + 12345 (rest)"),
        (-1.5, 0.5, [-2.0], "−1.5 = 0.5 − 2.0 (rest)"),
        (-1.0, -3.0, [2.0], "−1.0 = −3.0 + 2.0 (rest)"),
        (3e-12, 1e-12, [2e-12], "3.0e−12 = 1.0e−12 + 2.0e−12 (rest)"),
        (3e20, 1e20, [2e20], "3.0e20 = 1.0e20 + 2.0e20 (rest)"),
        (float("nan"), 1.0, [2.0], "?"),
        (1.0, 1.0, [float("inf")], "?"),
    ],
)
def test_numbers_of_any_size(explained: float, baseline: float, parts: list[float], line: str) -> None:
    """Large ones without decimals, tiny and huge ones with a power of ten, signs before; "?" for none."""
    assert explanation_line(explained, baseline, [Term(part, "rest") for part in parts]) == line


@pytest.mark.parametrize("size", [1e6, 1e13, 1e30])
def test_large_answers_have_the_digits_of_float32(size: float) -> None:
    """Contributions that fall short of the sum by float32's rounding end at once; at most seven digits are printed."""
    explained, baseline = float(np.float32(1.2345678 * size)), float(np.float32(size))
    values = [0.2 * size, 0.03 * size, (explained - baseline) - 0.23 * size + 3e-7 * size]
    line = explanation_line(explained, baseline, [Term(value, "x 1") for value in values])
    whole, base, printed = _parsed(line)
    assert whole == base + sum(printed)
    for value, shown in zip([explained, baseline, *values], [whole, base, *printed], strict=True):
        assert float(shown) == pytest.approx(value, abs=0.01 * size)
        assert len(shown.normalize().as_tuple().digits) <= 7


@given(st.lists(_VALUES, min_size=2, max_size=8), _VALUES)
def test_named_contributions_are_rounded_rightly_beside_a_rest(parts: list[float], baseline: float) -> None:
    """Only the rest is moved so that the numbers add up."""
    terms = [*(Term(part, "x 1") for part in parts[:-1]), Term(parts[-1], "rest")]
    whole, base, printed = _parsed(explanation_line(baseline + sum(parts), baseline, terms))
    assert whole == base + sum(printed)
    places = [number.as_tuple().exponent for number in printed]
    assert len(set(places)) == 1
    unit = max(10.0 ** int(places[0]), 10.0 ** (math.floor(math.log10(max(map(abs, [*parts, baseline, 1.0])))) - 6))
    for part, shown in zip(parts[:-1], printed[:-1], strict=True):
        assert abs(float(shown) - part) <= unit * 0.501


def test_columns_that_contribute_nothing_are_not_named() -> None:
    """A constant column is not among the largest, and no rest is printed where nothing is left."""
    columns, cells = ["a", "b", "c"], {"a": "1", "b": "2", "c": "3"}
    assert [term.text for term in terms_of([0.0, 2.0, 0.0], columns, cells, top=3)] == ["b 2"]
    assert [term.text for term in terms_of([0.0, 0.0, 0.0], columns, cells, top=3)] == ["rest"]
    infinite = terms_of([math.inf, -math.inf, 1.0], columns, cells, top=1)
    assert explanation_line(1.0, 1.0, infinite) == "?"
    assert [term.text for term in terms_of([1.0, -3.0, 2.0], columns, {}, top=1)] == ["b", "rest"]


def test_cells_are_short_and_on_one_line() -> None:
    """A missing cell says so; a long word is cut."""
    assert show_cell("", is_missing=True) == "missing"
    assert show_cell("", is_missing=False) == show_cell(None, is_missing=False) == "missing"
    assert show_cell("a\n b", is_missing=False) == "a b"
    assert show_cell(7, is_missing=False) == "7"
    assert len(show_cell("x" * 99, is_missing=False)) == 40

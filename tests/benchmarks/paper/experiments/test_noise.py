"""The laws, the judge of found formulas, gplearn's programs, and what the commands print."""

from pathlib import Path

import numpy as np
import pytest
import sympy

from benchmarks.paper.experiments.noise import command, genetic, kan
from benchmarks.paper.experiments.noise.genetic import parse
from benchmarks.paper.experiments.noise.judge import judge
from benchmarks.paper.experiments.noise.laws import LAWS
from benchmarks.paper.experiments.noise.runs import EXPERIMENT, LEVELS, plan
from training.threads import torch_threads

A, B = sympy.symbols("a b", real=True)


def test_there_are_ten_laws_of_one_to_three_variables() -> None:
    """Each is finite on its ranges, and varies; the plan has each of them at each level of noise."""
    assert len(LAWS) == 10
    assert {len(law.names) for law in LAWS.values()} == {1, 2, 3}
    for law in LAWS.values():
        values = law.values(law.rows(1000, 0))
        assert np.isfinite(values).all()
        assert values.std() > 0.1
    assert {run.case for run in EXPERIMENT.plan(False)} == {f"{law} at {level}" for law in LAWS for level in LEVELS}


def test_values_and_noise() -> None:
    """Values are NumPy's; noise has the wanted share of the deviation, and 0 of it is none."""
    law = LAWS["(a + b)/(1 + a*b)"]
    rows, values = law.table(0, 0.0)
    a, b = rows.T
    np.testing.assert_allclose(values, (a + b) / (1 + a * b), rtol=1e-12)
    same_rows, noisy = law.table(0, 0.1)
    np.testing.assert_array_equal(rows, same_rows)
    assert (noisy - values).std() / values.std() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(
    ("text", "is_law"),
    [
        ("0.998*a*sin(1.003*b)", True),
        ("0.998*a*sin(1.003*b) + 0.004", True),
        ("a*sin(b)", True),
        ("1.002*a*cos(0.999*b - 1.568)", True),
        ("0.97*a*sin(b)", False),
        ("a*sin(b) + 0.02*b", False),
        ("a*(b - 0.1645*b**3 + 0.0064*b**5)", False),
        ("0.5*b", False),
        ("log(a)", False),
    ],
)
def test_a_formula_is_the_law_within_one_percent(text: str, is_law: bool) -> None:
    """Constants may be off by 1 %, in any form that sympy takes; a polynomial that is close is not the law."""
    found = judge(LAWS["a*sin(b)"], sympy.sympify(text, locals={"a": A, "b": B}))
    assert found.is_law == is_law


def test_the_error_is_that_of_the_formula_as_found() -> None:
    """0.9·a·b differs from a·b by a tenth of its deviation (its mean is 0)."""
    assert judge(LAWS["a*b"], 0.9 * A * B).error == pytest.approx(0.1, rel=0.15)
    assert judge(LAWS["a*b"], A * B).error == 0


def test_another_way_to_write_a_law() -> None:
    """tanh(artanh a + artanh b) is (a + b)/(1 + ab)."""
    found = sympy.tanh(1.001 * sympy.atanh(A) + 0.999 * sympy.atanh(B))
    assert judge(LAWS["(a + b)/(1 + a*b)"], found).is_law


def test_the_plan_is_the_same_without_gplearn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page counts planned runs, so it is the same on every machine; only quick runs do without gplearn."""
    plans = []
    for is_installed in (True, False):
        monkeypatch.setattr(genetic, "is_installed", lambda found=is_installed: found)
        plans.append(plan(quick=False))
    assert plans[0] == plans[1]
    assert {run.contender for run in plan(quick=True)} == {"KAN", "KAN in context", "kan-train"}
    with pytest.raises(SystemExit, match="gplearn is not installed"):
        genetic.find_formula(np.zeros((2, 1)), np.zeros(2), ["a"], 0)


def test_a_program_of_gplearn_is_read() -> None:
    """As gplearn writes it; unknown functions and what follows a program are errors."""
    found = parse("add(mul(X0, -0.512), sub(sin(X1), inv(X0)))", ["a", "b"])
    assert sympy.simplify(found - (-0.512 * A + sympy.sin(B) - 1 / A)) == 0
    for wrong in ("tan(X0)", "X0, X1"):
        with pytest.raises(ValueError, match="wanted"):
            parse(wrong, ["a", "b"])


def test_a_printed_formula_is_read(tmp_path: Path) -> None:
    """Served or told beside the network; a long one from the file of the run; nothing where none was printed."""
    note = "  symbolic: the formula is a network of shape [2, [0, 1]]; 4 of 5 searches found the same form; loss 1\n"
    for how, is_served in (("served", True), ("told in report.html", False)):
        printed = command.read(f"{note}  formula   y = 0.5*a*b\n  formula   {how}: RMSE 1\n", tmp_path, ["a", "b"])
        assert printed is not None
        assert printed.expression == 0.5 * A * B
        assert (printed.shape, printed.agreeing, printed.is_served) == ("[2, [0, 1]]", 4, is_served)
    assert command.read("  formula   too long to be shown here\n", tmp_path, ["a"]) is None
    (tmp_path / "law").mkdir()
    (tmp_path / "law" / "formula.txt").write_text("y = sin(a)\n")
    long = command.read("  formula   too long to be shown here\n", tmp_path, ["a"])
    assert long is not None
    assert long.expression == sympy.sin(A)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_product_is_found_through_noise() -> None:
    """a·b from 500 rows with 10 % noise, by a node that multiplies."""
    law = LAWS["a*b"]
    with torch_threads(1):
        found = kan.find_formula(*law.table(0, 0.1), law.names, 0)
    assert found is not None
    assert judge(law, found.expression).is_law

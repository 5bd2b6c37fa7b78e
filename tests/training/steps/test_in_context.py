"""[symbolic] choice = "in-context" in a recipe."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sympy

from service.client import Client
from tests.kit.recipes import OF_ONE_COLUMN
from tests.kit.server.kan_serve import serving
from training.cli import main
from training.errors import RecipeError
from training.recipe.config import parse_recipe

_QUICK = 'seeds = 2\nfunctions = ["x", "x^2", "1/x", "exp"]'


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("seeds = 3", "seeds: only with choice"),
        ('choice = "in-context"\nmin_r2 = 0.9', 'min_r2: only with choice = "by-edge"'),
        ('choice = "in-context"\nseeds = 0', "seeds"),
        ('choice = "somehow"', "by-edge"),
    ],
)
def test_keys_that_do_not_fit_are_refused(section: str, message: str) -> None:
    """Before the fit, with the key and what it belongs to."""
    with pytest.raises(RecipeError, match=message):
        parse_recipe(f"{OF_ONE_COLUMN}[symbolic]\n{section}\n", folder=Path(), name="r.toml")


def test_a_formula_that_the_rows_hardly_tell_from_another_is_told_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """log(a) and 1/sqrt(a) by 64 noisy rows, of which 51 are fitted; both are told in the units of the table."""
    random = np.random.default_rng(1)
    a = random.uniform(0.5, 3, 64)
    truth = 0.37 + 0.73 / np.sqrt(a)
    noisy = truth + 0.2 * truth.std() * random.standard_normal(64)
    pd.DataFrame({"a": a, "y": noisy}).to_csv(tmp_path / "t.csv")
    monkeypatch.chdir(tmp_path)
    sections = '[inputs]\nscaling = "none"\n[network]\nhidden = []\n[fit]\ngrids = [3]\nsteps = 40\n'
    symbolic = '[lowering]\ntune_for = []\n[symbolic]\nchoice = "in-context"\nfunctions = ["log", "1/sqrt(x)"]\n'
    Path("m.toml").write_text(OF_ONE_COLUMN + sections + symbolic)
    assert main(["run", "m.toml"]) == 0
    text = capsys.readouterr().out
    [rival] = re.findall(r"warning   the rows hardly tell the formula from another one, .*: (y = .*)$", text, re.M)
    [found] = re.findall(r"^  formula   (y = .*)$", text, re.M)
    assert {"log(" in rival, "log(" in found} == {True, False}
    for formula in (rival, found):
        answers = sympy.lambdify(sympy.Symbol("a"), sympy.sympify(formula.removeprefix("y = ")))(a)
        assert np.corrcoef(answers, truth)[0, 1] > 0.97


@pytest.mark.slow
def test_init_and_run_end_in_the_formula_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two commands without an edit: a server answers by watts = volts²/ohms; `kan-train formula` finds it again."""
    random = np.random.default_rng(0)
    table = pd.DataFrame({"volts": random.uniform(1, 12, 300), "ohms": random.uniform(1, 5, 300)})
    table["watts"] = table["volts"] ** 2 / table["ohms"] + 0.05 * random.standard_normal(300)
    table.to_csv(tmp_path / "ohm.csv", index=False)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "ohm.csv", "--target", "watts", "--formula", "--quiet"]) == 0
    recipe = tmp_path / "ohm.toml"
    assert "seeds = 5" in recipe.read_text()
    recipe.write_text(recipe.read_text().replace("seeds = 5", _QUICK))  # the same way in less time
    assert main(["run", "ohm.toml"]) == 0
    text = capsys.readouterr().out
    assert "of 2 searches found the same form" in text
    assert "volts**2/ohms" in text
    written = (tmp_path / "runs" / "ohm" / "formula.txt").read_text().strip()
    assert written.startswith("watts = ")
    # One scale, and nothing that the rows cannot tell from 0.
    assert re.fullmatch(r"watts = (0\.99\d+\*|1\.0\d+\*)?volts\*\*2/ohms", written)
    asked = {"volts": 6.0, "ohms": 2.0}
    with serving(tmp_path / "models", log=tmp_path / "log") as server, Client(server.grpc) as client:
        answer = client.predict("ohm", [asked]).values
    by_hand = sympy.sympify(written.removeprefix("watts = ")).subs(asked)
    np.testing.assert_allclose(answer, [[float(by_hand)]], rtol=1e-3)  # Its numbers are written with four digits.
    np.testing.assert_allclose(answer, [[18.0]], rtol=0.01)
    assert main(["formula", "runs/ohm", "--choice", "in-context"]) == 0
    assert "volts**2/ohms" in capsys.readouterr().out

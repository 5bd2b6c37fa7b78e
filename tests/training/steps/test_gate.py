"""A step is undone if its network is worse than allowed or has no finite answer to some row."""

import copy
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from kan_model import KAN, SymbolicEdge
from training.data.dataset import prepare
from training.data.preparation import input_transform, new_network, output_transform
from training.fitting.fit import fit
from training.recipe.config import Recipe, parse_recipe
from training.steps import StepData, finish
from training.steps.gate import decline, find_silence
from training.steps.state import validation_loss

Wave = Callable[[str], Recipe]


def beginning(recipe: Recipe) -> tuple[KAN, StepData]:
    """A network before its first step, and its rows."""
    dataset = prepare(recipe)
    inputs = input_transform(dataset, "minmax")
    kan = new_network(dataset, recipe, inputs)
    return kan, StepData.of(dataset, inputs, output_transform(dataset), kan.dtype)


def fitted(recipe: Recipe) -> tuple[KAN, StepData]:
    """The network as the fit leaves it, and its rows."""
    kan, table = beginning(recipe)
    return fit(kan, table.train, table.validation, recipe.fit, table.dataset.task).best, table


def of_formulas(kan: KAN, *edges: SymbolicEdge) -> KAN:
    """The network with these edges of the first layer as formulas."""
    return KAN.of_layers([kan.layers[0].with_symbolic(edges), *copy.deepcopy(kan).layers[1:]])


def falling(folder: Path, sections: str, *, wall: float) -> Recipe:
    """log(x − wall) by time: the last rows lie beside the wall, some of the held-out ones beyond it."""
    x = np.concatenate([np.linspace(5, 0.6, 200), np.linspace(0.6, 0.5, 45), np.linspace(0.499, 0.40, 55)])
    y = np.where(x > wall, np.log(np.maximum(x - wall, 1e-9)), -5.0)
    pd.DataFrame({"x": x, "t": np.arange(300), "y": y}).to_csv(folder / "log.csv", index=False)
    text = (
        '[model]\nname = "log"\n[data]\npath = "log.csv"\ntarget = "y"\ncolumns = ["x"]\n[task]\nkind = "regression"\n'
        '[split]\nkind = "time"\ncolumn = "t"\n[network]\nhidden = []\n[fit]\noptimizer = "lbfgs"\ngrids = [3]\n'
    )
    return parse_recipe(text + sections, folder=folder, name="log.toml")


def test_all_rows_answered_is_no_silence(wave: Wave) -> None:
    """Splines answer everywhere."""
    assert find_silence(*beginning(wave(""))) is None


def test_silence_names_edge_function_and_rows(wave: Wave) -> None:
    """The first edge at fault, what it is given, how many rows of which part, and the numbers of some."""
    kan, table = beginning(wave(""))
    found = find_silence(of_formulas(kan, SymbolicEdge(0, 1, "log", 1.0, 0.0, 1.0, 0.0)), table)
    assert found is not None
    assert found.edge == (0, 0, 1)
    silent = (table.train.x[:, 1] <= 0).nonzero()[:, 0].tolist()
    assert f"from 1 (b) to 0 is given {table.train.x[silent[0], 1]:.4g}" in found.text
    numbers = ", ".join(map(str, silent[:3]))
    rows = f"{len(silent)} of {len(table.train.x)} training rows (from 0: {numbers} and {len(silent) - 3} more)"
    assert found.text.endswith(f"no answer to {rows}")


@pytest.mark.parametrize("function", ["sqrt", "log", "1/x", "arcsin"])
def test_a_row_at_the_end_of_a_domain_has_no_answer_that_lasts(wave: Wave, function: str) -> None:
    """Torch in float32 may answer it and the graph not, or the other way round; a little further both answer."""
    kan, table = beginning(wave(""))
    low = float(table.train.x[:, 0].min())
    # The argument of the lowest row is one rounding above the end, and that of every other row well inside.
    end, sign = (1.0, -0.3) if function == "arcsin" else (0.0, 0.3)
    for above, is_silent in ((1e-8, True), (1e-4, False)):
        start = end + np.copysign(above, sign) - sign * low
        found = find_silence(of_formulas(kan, SymbolicEdge(0, 0, function, sign, start, 1.0, 0.0)), table)
        assert (found is not None) == is_silent
        if found is not None:
            assert found.edge == (0, 0, 0)
            assert re.search(r"no answer to|rounding decides on the answer to", found.text)


@pytest.mark.parametrize("part", ["validation", "held-out"])
def test_rows_that_did_not_train_need_an_answer_too(wave: Wave, part: str) -> None:
    """One row of that part lies beyond the end of a square root; the features of held-out rows are enough."""
    kan, table = beginning(wave(""))
    dataset = replace(table.dataset, x=table.dataset.x.copy())
    rows = dataset.validation if part == "validation" else dataset.test
    dataset.x[rows[4], 2] = 50.0
    changed = StepData.of(dataset, table.inputs, table.outputs, kan.dtype)
    end = float(table.train.x[:, 2].max()) + 2
    found = find_silence(of_formulas(kan, SymbolicEdge(0, 2, "sqrt", -1.0, end, 1.0, 0.0)), changed)
    assert found is not None
    assert found.edge == (0, 0, 2)
    assert f"no answer to 1 of {len(rows)} {part} rows (from 0: 4)" in found.text


@pytest.mark.parametrize(("kind", "target"), [("regression", "y"), ("classification", "kind")])
def test_the_allowance_is_a_share_of_what_a_constant_loses(wave: Wave, tmp_path: Path, kind: str, target: str) -> None:
    """Just allowed, just not; a loss that is no number never is; an infinite allowance allows all numbers."""
    text = wave("").text.replace('"y"', f'"{target}"').replace("regression", kind).replace("lbfgs", "adam")
    kan, table = beginning(parse_recipe(text, folder=tmp_path, name="wave.toml"))
    y = table.train.y
    if kind == "regression":
        constant = float((y - y.mean()).square().mean())
    else:
        shares = np.bincount(y.numpy()) / len(y)
        constant = -float((shares * np.log(shares)).sum())
    after = validation_loss(kan, table)
    assert decline(kan, after - 0.1 * constant, 0.1001, table) is None
    refused = decline(kan, after - 0.1 * constant, 0.0999, table)
    assert refused is not None
    assert refused.startswith(f"validation loss {after:.3g}, ")
    assert decline(kan, 0.0, math.inf, table) is None
    broken = of_formulas(kan, SymbolicEdge(0, 1, "log", 1.0, 0.0, 1.0, 0.0))
    assert decline(broken, after, 1.0, table) is not None


def test_pruning_that_costs_too_much_is_taken_back(wave: Wave) -> None:
    """One edge for a sum of two columns: the network is the one that came, and the note has the losses and the key."""
    recipe = wave("[prune]\nedges = 1")
    kan, table = fitted(recipe)
    done = finish(kan, recipe, table, lambda: None)
    assert done.kan is kan
    assert done.history == ()
    (note,) = done.notes
    assert note.startswith("warning   not pruned: 1 of 3 edges")
    assert "max_loss_increase" in note
    allowed = finish(kan, wave("[prune]\nedges = 1\nmax_loss_increase = 1.0"), table, lambda: None)
    assert int(allowed.kan.layers[0].active_edges.sum()) == 1


def test_formulas_that_cost_too_much_are_taken_back(wave: Wave) -> None:
    """A parabola for a sine: the splines stay, and the note says how many formulas and what they would cost."""
    sections = '[symbolic]\nfunctions = ["x^2"]\nmin_r2 = 0.5\nmax_loss_increase = '
    recipe = wave(f"{sections}0.001")
    kan, table = fitted(recipe)
    done = finish(kan, recipe, table, lambda: None)
    assert done.kan is kan
    assert done.formula == ""
    assert re.match(r"warning   no formulas: \d of 3 edges", done.notes[-1])
    allowed = finish(kan, wave(f"{sections}1.0"), table, lambda: None)
    assert allowed.notes[0].startswith("symbolic: ")


def test_constants_that_move_a_logarithm_past_a_row_are_taken_back(tmp_path: Path) -> None:
    """The formula before that fit is kept: it answers every row, and the note names edge and rows."""
    recipe = falling(tmp_path, '[symbolic]\nfunctions = ["log"]\nmin_r2 = 0.9\n', wall=0.41)
    kan, table = fitted(recipe)
    done = finish(kan, recipe, table, lambda: None)
    assert done.kan.layers[0].symbolic_functions == ("log",)
    assert find_silence(done.kan, table) is None
    assert done.notes[0].startswith("warning   the formulas' constants stay")
    assert "log on" in done.notes[0]
    assert re.search(r"no answer to \d+ of 60 held-out rows", done.notes[0])
    assert done.formula.startswith("y = ")


def test_a_formula_without_an_answer_stays_a_spline(tmp_path: Path) -> None:
    """The logarithm met the rows that train; later ones lie beyond its end. The splines are what is published."""
    recipe = falling(tmp_path, '[symbolic]\nfunctions = ["log"]\nmin_r2 = 0.9\n', wall=0.49)
    kan, table = fitted(recipe)
    done = finish(kan, recipe, table, lambda: None)
    assert done.kan.layers[0].symbolic_places == ()
    assert all(torch.equal(a, b) for a, b in zip(done.kan.parameters(), kan.parameters(), strict=True))
    (note,) = done.notes
    assert re.match(r"warning   stays a spline: log .*from 0 \(x\) .*given -", note)

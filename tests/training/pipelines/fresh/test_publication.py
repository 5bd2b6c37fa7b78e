"""What is published of a fit whose formula float32 cannot compute closely enough."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import sympy
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from sklearn.metrics import root_mean_squared_error

from tests.kit.recipes import OF_ONE_COLUMN
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.publishing.verify import VerificationFailed
from training.recipe.config import parse_recipe

Values = NDArray[np.float64]

# Almost a line. As an exp it is 280·exp(0.0036·a) − 280: float32 has a spacing of 3e-5 there, the answer's range is 2.
_RECIPE = f"""{OF_ONE_COLUMN}
[network]
hidden = []
dtype = "float64"
[fit]
optimizer = "lbfgs"
grids = [4]
steps = 20
[verify]
tolerance = 3e-6
[lowering]
tune_for = []
[attribution]
[symbolic]
functions = ["exp"]
"""


def run(folder: Path, more: str = "", *, resume: bool = False) -> Published:
    """Train by the recipe with further sections, and publish."""
    recipe = parse_recipe(_RECIPE + more, folder=folder, name="m.toml")
    return train(Run(recipe, folder / "models", RunFolder(folder / "run"), resume=resume), Watcher())


def answers(version: Published, a: Values) -> Values:
    """Those of model.onnx, by onnx itself."""
    graph = onnx.load(version.folder / "model.onnx")
    (result,) = ReferenceEvaluator(graph).run(None, {graph.graph.input[0].name: a.astype(np.float32)[:, None]})
    return np.asarray(result, np.float64)[:, 0]


@pytest.mark.slow
def test_a_formula_beyond_float32_is_told_and_its_splines_are_served(tmp_path: Path) -> None:
    """A run ends with a version although no graph of its formula is within the tolerance, unless it must be served."""
    a = np.random.default_rng(0).uniform(-1, 1, 300)
    y = a + 2e-4 * a**2
    np.savetxt(tmp_path / "t.csv", np.column_stack([a, y]), "%.17g", ",", header="a,y", comments="")
    with pytest.raises(
        VerificationFailed, match=r"layer 0: no strategy is within .* functions without exp \(layer 0\)"
    ):
        run(tmp_path, "[formula]\nserve = true\n")
    assert not (tmp_path / "models").exists()

    version = run(tmp_path, resume=True)
    (warning,) = (note for note in version.notes if "told and not served" in note)
    assert warning.startswith("warning   the formula is told and not served: layer 0: no strategy is within")
    assert "--resume" not in warning
    (told,) = (note for note in version.notes if note.startswith("attribution: "))
    assert version.notes.index(told) > version.notes.index(warning)  # of the splines
    manifest = version.manifest
    assert manifest.formula == ""
    assert not manifest.formula_details.served
    formula = sympy.lambdify(sympy.Symbol("a"), sympy.sympify(manifest.formula_details.text[0]))
    np.testing.assert_allclose(formula(a), y, atol=0.05)  # Four digits of 280.
    np.testing.assert_allclose(answers(version, a), y, atol=0.05)
    assert manifest.lowering.max_relative_error <= 3e-6
    metrics = manifest.metrics
    assert metrics["test_rmse"] == manifest.formula_details.network_metrics["test_rmse"]
    held_out = np.loadtxt(tmp_path / "run" / "held_out.csv", delimiter=",", skiprows=1)
    error = root_mean_squared_error(held_out[:, 1], answers(version, held_out[:, 0]))
    assert metrics["test_rmse"] == pytest.approx(error, rel=1e-3)


@pytest.mark.slow
def test_an_edge_beyond_float32_stays_a_spline_beside_another_one(tmp_path: Path) -> None:
    """Of two edges one is the exp that no graph computes closely enough; the other is no exp. Splines are published."""
    a, b = np.random.default_rng(0).uniform(-1, 1, (2, 300))
    y = a + 2e-4 * a**2 + 0.3 * np.sin(4 * b)
    np.savetxt(tmp_path / "t.csv", np.column_stack([a, b, y]), "%.17g", ",", header="a,b,y", comments="")
    text = _RECIPE.replace('columns = ["a"]', 'columns = ["a", "b"]')
    recipe = parse_recipe(text, folder=tmp_path, name="m.toml")
    version = train(Run(recipe, tmp_path / "models", RunFolder(tmp_path / "run")), Watcher())
    (warning,) = (note for note in version.notes if note.startswith("warning"))
    assert warning.startswith("warning   no formula of an edge is served: layer 0: no strategy is within")
    assert "symbolic: 1 of 2 edges are formulas" in "\n".join(version.notes)
    assert version.manifest.formula == ""
    assert not version.manifest.HasField("formula_details")
    assert version.manifest.lowering.max_relative_error <= 3e-6
    assert version.manifest.metrics["test_rmse"] < 0.05

"""[formula]: the formula in place of the network, or beside it, with both errors on the held-out rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import sympy
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from sklearn.metrics import r2_score, root_mean_squared_error

from training.data.dataset import prepare
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.publish import Published
from training.recipe.config import Recipe
from training.report.summary import of_run
from training.steps import StepFailed

# A sine cannot be a parabola: the formula is worse than the splines, far beyond what max_loss_increase allows.
POOR = '[symbolic]\nfunctions = ["x", "x^2"]\nmin_r2 = 0.01\nmax_loss_increase = 0.0\n'

pytestmark = pytest.mark.slow


def publish(recipe: Recipe, folder: Path, *, resume: bool = False) -> Published:
    """Train and publish."""
    return train(Run(recipe, folder / "models", RunFolder(folder / "run"), resume=resume), Watcher())


def held_out(recipe: Recipe) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The rows and targets of the test part."""
    dataset = prepare(recipe)
    return dataset.x[dataset.test].astype(np.float32), dataset.y[dataset.test].astype(np.float64)


def answers(version: Published, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Those of model.onnx, by onnx itself."""
    graph = onnx.load(version.folder / "model.onnx")
    (result,) = ReferenceEvaluator(graph).run(None, {graph.graph.input[0].name: rows})
    found: NDArray[np.float64] = np.asarray(result, np.float64)
    return found


def by_text(text: str, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a person computes who copies the formula."""
    function = sympy.lambdify(sympy.symbols("a b idle"), sympy.sympify(text), "numpy")
    found: NDArray[np.float64] = function(*rows.T.astype(np.float64))
    return found


def test_the_formula_is_served_with_both_errors(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """model.onnx computes the formula that the manifest prints; errors and R² are those of scikit-learn."""
    network = publish(wave(""), tmp_path / "network")
    recipe = wave(POOR + "[formula]\nserve = true\n")
    version = publish(recipe, tmp_path)
    details, metrics = version.manifest.formula_details, version.manifest.metrics
    rows, truth = held_out(recipe)
    ours, theirs = answers(version, rows), answers(network, rows)
    assert details.served
    np.testing.assert_allclose(by_text(details.text[0], rows), ours[:, 0], atol=2e-2)
    assert version.manifest.formula == f"y = {details.text[0]}"
    assert details.latex
    assert details.formula_metrics["test_rmse"] == metrics["test_rmse"]
    assert details.formula_metrics["test_rmse"] == pytest.approx(root_mean_squared_error(truth, ours), rel=1e-4)
    assert details.network_metrics["test_rmse"] == pytest.approx(root_mean_squared_error(truth, theirs), rel=1e-2)
    assert details.network_metrics["test_rmse"] < details.formula_metrics["test_rmse"] / 10
    assert list(details.r2_to_network) == [pytest.approx(r2_score(theirs, ours), abs=1e-5)]
    page = (version.folder / "report.html").read_text()
    assert "the formula (served)" in page
    assert "  formula   served: RMSE" in of_run(version, tmp_path)


@pytest.mark.parametrize("sections", [POOR, POOR.replace("0.0\n", "1e9\n[formula]\n")])
def test_the_formula_beside_the_network(wave: Callable[[str], Recipe], tmp_path: Path, sections: str) -> None:
    """With [formula], or where the formula is too much worse, the splines are served and the formula is told."""
    version = publish(wave(sections), tmp_path)
    details = version.manifest.formula_details
    assert not details.served
    assert version.manifest.formula == ""
    assert details.network_metrics["test_rmse"] == version.manifest.metrics["test_rmse"]
    assert details.formula_metrics["test_rmse"] > 10 * details.network_metrics["test_rmse"]
    rows, truth = held_out(wave(sections))
    error = root_mean_squared_error(truth[:, 0], by_text(details.text[0], rows))
    assert details.formula_metrics["test_rmse"] == pytest.approx(error, rel=1e-2)
    page = (version.folder / "report.html").read_text()
    assert "the version answers by the network" in page
    assert "the network of splines (served)" in page


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ('[symbolic]\nfunctions = ["x"]\nmin_r2 = 0.99\n', r"1 of 2 edges stay splines"),
        ('[symbolic]\nfunctions = ["sgn"]\nmin_r2 = 0.9999\n', r"2 of 2 edges stay splines"),
    ],
)
def test_without_a_whole_formula_nothing_is_published(
    wave: Callable[[str], Recipe], tmp_path: Path, sections: str, message: str
) -> None:
    """The message says which edges stay splines and what to do; the fit is kept, and goes on without serve."""
    sections = f"[prune]\nedge_threshold = 0.1\n{sections}"
    with pytest.raises(StepFailed, match=message) as caught:
        publish(wave(f"{sections}[formula]\nserve = true\n"), tmp_path)
    assert "still splines: layer 0" in str(caught.value)
    assert "nothing is published" in str(caught.value)
    assert not (tmp_path / "models").exists()
    version = publish(wave(f"{sections}[formula]\n"), tmp_path, resume=True)
    assert not version.manifest.HasField("formula_details")
    assert version.manifest.metrics["test_r2"] > 0.999


def test_a_formula_that_is_close_is_served_as_before(wave: Callable[[str], Recipe], tmp_path: Path) -> None:
    """[symbolic] alone serves a formula that is no worse than allowed, now with its details."""
    version = publish(wave('[prune]\n[symbolic]\nfunctions = ["x", "sin"]\n'), tmp_path)
    details = version.manifest.formula_details
    assert details.served
    assert version.manifest.formula == f"y = {details.text[0]}"
    assert details.r2_to_network[0] > 0.9999

"""kan-train uses versions that an older commit published, and resumes runs that it began."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from google.protobuf import json_format
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.network import checkpoint
from kan_model.onnx_runtime import run
from training.cli import main
from training.data.dataset import prepare
from training.recipe.config import load_recipe

PUBLISHED = Path(__file__).parents[1] / "published" / "9536bcd"
MODELS = ("digits", "field", "flats", "formula")
# What a graph may differ from float64: of the output's range, or of the answer where that is larger.
TOLERANCE = 1e-5

LEARN_ON = """
[model]
name = "flats"
continue_from = "models/flats/1"
[data]
path = "recipes/flats.csv"
target = "rent"
columns = ["area", "year", "floor", "district", "heating", "lift"]
missing = "median"
[data.categories]
district = ["Altstadt", 'Am Markt, "Süd"', "NA", ""]
heating = ["gas", "heat pump"]
[task]
kind = "regression"
[fit]
steps = 5
[lowering]
tune_for = []
"""


@dataclass(frozen=True)
class Version:
    """A version that lies in a test's folder."""

    folder: Path

    @property
    def manifest(self) -> ModelManifest:
        return json_format.Parse((self.folder / "manifest.json").read_bytes(), ModelManifest())

    def answers(self, rows: NDArray[np.float32], graph: str = "model.onnx") -> NDArray[np.float32]:
        """What one of its graphs answers."""
        return run(onnx.load(self.folder / graph), rows)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that the commit left, where kan-train finds models and runs by itself."""
    shutil.copytree(PUBLISHED, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _rows(name: str) -> NDArray[np.float32]:
    said = json.loads((PUBLISHED / "requests" / f"{name}.json").read_bytes())
    return np.array(said["rows"], np.float32)


def _assert_as_before(name: str, answers: NDArray[np.floating], tolerance: float = TOLERANCE) -> None:
    """Hold answers to the rows of `_rows` to those of that commit's server."""
    said = json.loads((PUBLISHED / "requests" / f"{name}.json").read_bytes())
    expected = np.array(said["Predict"])
    assert answers.shape == expected.shape
    scale = Version(PUBLISHED / "models" / name / "1").manifest.lowering.output_scale
    size = np.maximum(np.array(scale), np.abs(expected))
    assert (np.abs(answers - expected) <= tolerance * size).all(), (answers, expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_network_in_float64_answers_as_the_server_did(name: str) -> None:
    """network.safetensors of that commit is read, with what stands before and behind the network."""
    content = (PUBLISHED / "models" / name / "1" / "network.safetensors").read_bytes()
    kan, (inputs, outputs) = checkpoint.from_bytes(content).double(), checkpoint.transforms(content)
    rows = torch.from_numpy(_rows(name)).double()
    with torch.no_grad():
        values = kan(rows if inputs is None else inputs(rows))
        values = values if outputs is None else outputs(values)
    _assert_as_before(name, values.numpy())


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_that_explains_answers_as_the_server_did(name: str) -> None:
    """Its first output is the answer."""
    _assert_as_before(name, Version(PUBLISHED / "models" / name / "1").answers(_rows(name), "explain.onnx"))


@pytest.mark.parametrize("name", MODELS)
def test_a_version_is_tuned_anew(folder: Path, name: str) -> None:
    """The next version answers the same, as near as two graphs of one network are."""
    assert main(["tune", f"models/{name}/1", "--rows", "1"]) == 0
    tuned = Version(folder / "models" / name / "2")
    assert list(tuned.manifest.lowering.tuned_for) == [1]
    _assert_as_before(name, tuned.answers(_rows(name)), 2 * TOLERANCE)


def test_a_version_learns_on(folder: Path) -> None:
    """From a table with words and gaps; the next version says from which one it went on."""
    (folder / "on.toml").write_text(LEARN_ON)
    assert main(["run", "on.toml", "--runs", "others"]) == 0
    manifest = Version(folder / "models" / "flats" / "2").manifest
    assert manifest.continued_from == 1
    assert manifest.metrics["test_r2"] > 0.8


def test_a_checkpoint_that_it_imported_is_imported_alike(folder: Path) -> None:
    """The same files of pykan give the same answers."""
    command = ["import", "pykan", "pykan/field", "--name", "again", "--data", "pykan/field.csv", "--target", "yield"]
    assert main([*command, "--tune-for", "none"]) == 0
    _assert_as_before("field", Version(folder / "models" / "again" / "1").answers(_rows("field")), 2 * TOLERANCE)


def test_a_fit_that_it_began_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stopped in the second of two grids, with words and gaps: only that one is fitted, and version 2 is published."""
    assert main(["run", "recipes/flats.toml", "--resume"]) == 0
    told = capsys.readouterr().err
    assert ("grid 3" in told, "grid 6" in told) == (False, True)
    manifest = Version(folder / "models" / "flats" / "2").manifest
    assert manifest.metrics["test_r2"] > 0.8
    assert not (folder / "runs" / "flats" / "state.pt").exists()


@pytest.mark.slow
def test_a_run_that_it_began_goes_on_after_the_fit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stopped while functions were tried: nothing is fitted anew, and the formula is found.

    Its table is computed. Where this processor's sin and exp have other last digits, it is another table, and the run
    is rightly refused.
    """
    began = Version(folder / "models" / "formula" / "1").manifest.data.fingerprint
    if prepare(load_recipe(Path("recipes", "formula.toml"))).fingerprint != began:
        pytest.skip("on this processor sin and exp have other last digits, so the table is another one")
    assert main(["run", "recipes/formula.toml", "--resume"]) == 0
    assert "grid" not in capsys.readouterr().err
    manifest = Version(folder / "models" / "formula" / "2").manifest
    assert manifest.formula == Version(PUBLISHED / "models" / "formula" / "1").manifest.formula

"""Networks of other libraries, imported and served by real processes."""

import subprocess
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from kan_model.interop import load_efficient_kan_checkpoint
from service.client import Client
from tests.kit.models.digits import BIN
from tests.kit.server.kan_serve import serving

with warnings.catch_warnings():
    # Its docstrings hold backslashes, of which Python warns when it compiles them.
    warnings.filterwarnings("ignore", "invalid escape sequence", SyntaxWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
    import kan as pykan

ROWS = np.random.default_rng(0).uniform(-1, 1, (100, 2)).astype(np.float32)


def _import(folder: Path, *arguments: str) -> None:
    done = subprocess.run([BIN / "kan-train", "import", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "published models/" in done.stdout


def _pykan(folder: Path) -> Any:
    """A network that pykan has fitted for three steps; its checkpoint and table lie in the folder."""
    rows = torch.from_numpy(ROWS)
    label = torch.exp(torch.sin(torch.pi * rows[:, :1]) + rows[:, 1:] ** 2)
    model: Any = pykan.KAN(width=[2, 3, 1], grid=5, k=3, seed=0, auto_save=False)
    model.fit({"train_input": rows, "train_label": label, "test_input": rows, "test_label": label}, steps=3)
    model.saveckpt("field")
    pd.DataFrame(ROWS, columns=["length", "width"]).to_csv(folder / "field.csv", index=False)
    return model


def _efficient_kan(folder: Path) -> None:
    """A state dict with the names and shapes of efficient-kan."""
    random = torch.Generator().manual_seed(0)
    state = {}
    for index, (inputs, outputs) in enumerate(pairwise((2, 4, 3))):
        state[f"layers.{index}.grid"] = (torch.arange(-3, 9) * 0.4 - 1).expand(inputs, -1).contiguous()
        state[f"layers.{index}.base_weight"] = torch.randn(outputs, inputs, generator=random)
        state[f"layers.{index}.spline_weight"] = 0.2 * torch.randn(outputs, inputs, 8, generator=random)
    torch.save(state, folder / "net.pt")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where everything lies; pykan's networks write ./model wherever they stand."""
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_imported_networks_answer_over_grpc_as_in_torch(folder: Path) -> None:
    """A number by pykan's own forward pass, by column name; classes with their labels."""
    model = _pykan(folder)
    _efficient_kan(folder)
    _import(folder, "pykan", "field", "--name", "field", "--data", "field.csv", "--target", "yield")
    _import(folder, "efficient-kan", "net.pt", "--name", "kinds", "--classes", "a,b,c", "--tune-for", "none")
    with torch.no_grad():
        numbers = model.double()(torch.from_numpy(ROWS).double()).numpy()
        logits = load_efficient_kan_checkpoint(folder / "net.pt").double()(torch.from_numpy(ROWS).double())
        probabilities = torch.softmax(logits, dim=1).numpy()
    program = [str(BIN / "kan-serve")]
    with serving("models", log=folder / "log", program=program, folder=folder) as server, Client(server.grpc) as client:
        table = pd.DataFrame(ROWS[:, ::-1], columns=["width", "length"])
        fields, kinds = client.predict("field", table), client.predict("kinds", ROWS)
        manifest = client.manifest("field")
        assert (manifest.target, manifest.origin.kind) == ("yield", "pykan")
    np.testing.assert_allclose(fields.values, numbers, atol=1e-5 * np.ptp(numbers), rtol=0)
    np.testing.assert_allclose(kinds.values, probabilities, atol=1e-5, rtol=0)
    assert kinds.labels is not None
    assert list(kinds.labels) == ["abc"[place] for place in probabilities.argmax(axis=1)]

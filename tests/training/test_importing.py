"""Networks that other libraries trained become versions like our own, or are refused in one line."""

import hashlib
import sys
import warnings
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.special import expit, softmax
from torch import Tensor

from kan_model import checkpoint
from kan_model.interop import load_efficient_kan_checkpoint, load_pykan_checkpoint
from kan_model.onnx_runtime import open_session
from training.cli import main
from training.importing import Import, import_network
from training.publish import Published
from training.tune import tune

with warnings.catch_warnings():
    # Its docstrings hold backslashes, of which Python warns when it compiles them.
    warnings.filterwarnings("ignore", "invalid escape sequence", SyntaxWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
    import kan as pykan

Values = NDArray[np.float64]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks of pykan write ./model wherever they stand."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    return tmp_path


def _state(
    width: tuple[int, ...] = (3, 4, 2), grid_size: int = 5, order: int = 3, prefix: str = ""
) -> Mapping[str, Any]:
    """A state dict with the names and shapes that efficient-kan publishes; the grids from -1 to 1."""
    random = torch.Generator().manual_seed(0)
    state = {}
    for index, (inputs, outputs) in enumerate(pairwise(width)):
        name = f"{prefix}layers.{index}."
        state[name + "base_weight"] = torch.randn(outputs, inputs, generator=random)
        state[name + "spline_weight"] = torch.randn(outputs, inputs, grid_size + order, generator=random)
        knots = torch.arange(-order, grid_size + order + 1) * (2 / grid_size) - 1
        state[name + "grid"] = knots.expand(inputs, -1).contiguous()
    return state


def _by_scipy(state: Mapping[str, Tensor], x: Values, order: int = 3) -> Values:
    """What efficient-kan computes, in float64, by SciPy's splines, which are cut off beyond their outermost knots."""
    for index in range(sum(name.endswith("base_weight") for name in state)):
        grid, base, spline = (
            state[f"layers.{index}.{part}"].double().numpy() for part in ("grid", "base_weight", "spline_weight")
        )
        rows = (x * expit(x)) @ base.T
        for place, knots in enumerate(grid):
            for basis in range(spline.shape[2]):
                element = BSpline.basis_element(knots[basis : basis + order + 2], extrapolate=False)
                rows += np.nan_to_num(element(x[:, place]))[:, None] * spline[:, place, basis]
        x = rows
    return x


def _run(published: Published, rows: NDArray[Any], file: str = "model.onnx") -> list[NDArray[np.float32]]:
    return open_session(onnx.load(published.folder / file)).run(rows.astype(np.float32))


def test_a_pykan_network_with_its_table(folder: Path) -> None:
    """It answers as pykan does; ranges, histograms and the fingerprint's rows are the table's; all files are listed."""
    table = pd.DataFrame(np.random.default_rng(0).uniform(-2, 2, (150, 3)).astype(np.float32), columns=["a", "b", "c"])
    rows = torch.tensor(table.to_numpy())
    label = torch.sin(rows[:, :1]) * rows[:, 1:2]
    model = pykan.KAN(width=[3, 2, 1], grid=4, k=3, seed=0, auto_save=False)
    model.fit({"train_input": rows, "train_label": label, "test_input": rows, "test_label": label}, steps=3)
    model.saveckpt("saved")
    table.assign(yield_="high").to_csv("fields.csv", index=False)
    published = import_network(
        Import("pykan", Path("saved"), "fields", Path("models"), data=Path("fields.csv"), target="yield_", tune_for=())
    )
    manifest = published.manifest
    with torch.no_grad():
        expected = model.double()(rows.double()).numpy()
    np.testing.assert_allclose(_run(published, table.to_numpy())[0], expected, atol=1e-5 * np.ptp(expected), rtol=0)
    for feature in manifest.features:
        column = table[feature.name]
        assert (feature.low, feature.high, feature.constant) == (column.min(), column.max(), False)
        assert sum(feature.histogram.counts) == 150
    assert [column.name for column in manifest.columns] == ["a", "b", "c"]
    assert (manifest.data.source, manifest.data.train_rows, len(manifest.data.fingerprint)) == ("fields.csv", 150, 64)
    assert (manifest.target, list(manifest.network.width), manifest.network.outside) == ("yield_", [3, 2, 1], "decay")
    assert (manifest.recipe, dict(manifest.metrics)) == ("", {})
    assert {file.name: file.sha256 for file in manifest.files} == {
        name: hashlib.sha256((published.folder / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "explain.onnx", "network.safetensors")
    }
    # The network itself, to the bit.
    content = (published.folder / "network.safetensors").read_bytes()
    assert content == checkpoint.to_bytes(load_pykan_checkpoint("saved"))


def test_an_efficient_kan_network_of_classes_without_a_table(folder: Path) -> None:
    """Probabilities as by SciPy, inside the grids and beyond; ranges are the grids', and there are no histograms."""
    state = _state()
    torch.save(state, "net.pt")
    published = import_network(
        Import("efficient-kan", Path("net.pt"), "iris", Path("models"), classes=("no", "yes"), tune_for=())
    )
    manifest = published.manifest
    rows = np.random.default_rng(0).uniform(-2, 2, (200, 3)).astype(np.float32)
    expected = softmax(_by_scipy(state, rows.astype(np.float64)), axis=1)
    np.testing.assert_allclose(_run(published, rows)[0], expected, atol=2e-5, rtol=0)
    assert list(manifest.classes) == ["no", "yes"]
    assert [feature.name for feature in manifest.features] == ["x1", "x2", "x3"]
    for feature in manifest.features:
        assert (feature.low, feature.high) == pytest.approx((-1, 1), abs=1e-6)
        assert not feature.HasField("histogram")
    assert (manifest.data.source, manifest.data.train_rows) == ("net.pt", 0)


def test_the_lowering_is_verified_and_the_explanation_adds_up(folder: Path) -> None:
    """The manifest says within what bound; edges of the last layer sum to the answers; numbers, several of them."""
    torch.save(_state(prefix="head."), "net.pt")
    published = import_network(
        Import("efficient-kan", Path("net.pt"), "two", Path("models"), prefix="head.", tolerance=3e-5, tune_for=(8, 8))
    )
    lowering = published.manifest.lowering
    assert 0 < lowering.max_relative_error <= lowering.tolerance == 3e-5
    assert lowering.verified_rows > 1000
    assert [layer.strategy for layer in lowering.layers] == list(lowering.strategies)
    assert list(lowering.tuned_for) == [8]
    rows = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    answers, *edges = _run(published, rows, "explain.onnx")
    assert [edge.shape for edge in edges] == [(20, 4, 3), (20, 2, 4)]
    np.testing.assert_allclose(edges[-1].sum(axis=2), answers, atol=1e-4)
    with torch.no_grad():
        torchs = load_efficient_kan_checkpoint("net.pt", prefix="head.").double()(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(answers, torchs, atol=3e-5 * np.ptp(torchs))


def test_a_column_of_one_value_is_no_constant_where_the_network_reads_it(folder: Path) -> None:
    """In a manifest a constant has weight zero; here only the column that no edge reads has."""
    model = pykan.KAN(width=[3, 1], grid=3, k=3, seed=0, auto_save=False)
    model.act_fun[0].mask.data[2] = 0
    model.saveckpt("saved")
    pd.DataFrame({"a": np.linspace(-1, 1, 9), "b": 0.5, "c": 0.5}).to_csv("t.csv", index=False)
    published = import_network(Import("pykan", Path("saved"), "m", Path("models"), data=Path("t.csv"), tune_for=()))
    assert [feature.constant for feature in published.manifest.features] == [False, False, True]
    assert [feature.HasField("histogram") for feature in published.manifest.features] == [True, False, False]


def test_it_is_a_version_like_any_other(folder: Path) -> None:
    """The next import is the next version, and `tune` lowers it again from itself alone."""
    torch.save(_state(), "net.pt")
    wanted = Import("efficient-kan", Path("net.pt"), "m", Path("models"), features=("a", "b", "c"), tune_for=())
    assert [import_network(wanted).folder.name for _ in range(2)] == ["1", "2"]
    tuned = tune(folder / "models" / "m" / "2", (1,))
    assert tuned.folder.name == "3"
    rows = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    before, after = (_run(Published(tuned.folder.with_name(str(n)), tuned.manifest), rows)[0] for n in (2, 3))
    np.testing.assert_allclose(before, after, atol=2e-5 * float(np.ptp(before)), rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["efficient-kan", "none.pt"], "none.pt: there is no such file"),
        (["pykan", "none"], "none_config.yml: there is no such file"),
        (["efficient-kan", "."], ".: cannot read it"),
        (["efficient-kan", "text.pt"], "text.pt: not the tensors of a state dict"),
        (["efficient-kan", "net.pt", "--prefix", "kan."], "no layer of efficient-kan"),
        (["pykan", "net.pt", "--prefix", "kan."], "prefix"),
        (["efficient-kan", "net.pt", "--features", "a,b"], "2 features are named; the network reads 3"),
        (["efficient-kan", "net.pt", "--features", 'a,"b,b",a'], '"a" is twice among the features'),
        (["efficient-kan", "net.pt", "--features", "a,,b"], "an empty name"),
        (["efficient-kan", "net.pt", "--features", "a,b,d"], "input 3"),
        (["efficient-kan", "net.pt", "--classes", "a,b,c"], "3 classes are named; the network has 2 outputs"),
        (["efficient-kan", "net.pt", "--classes", "a"], 'one class is named, "a"; wanted two or more'),
        (["efficient-kan", "net.pt", "--classes", "a,a"], '"a" is twice among the classes'),
        (["efficient-kan", "net.pt", "--task", "classification"], "a name for each of the network's outputs: 2"),
        (["efficient-kan", "net.pt", "--task", "regression", "--classes", "a,b"], "wanted none for a regression"),
        (["efficient-kan", "net.pt", "--name", "../up"], 'a model cannot be called "../up"'),
        (["efficient-kan", "net.pt", "--name", "new", "--tolerance", "-1"], "tolerance"),
        (["efficient-kan", "net.pt", "--name", "new", "--tolerance", "1e-12"], "tolerance"),
        (["efficient-kan", "net.pt", "--data", "none.csv"], "none.csv: there is no such file"),
        (["efficient-kan", "net.pt", "--data", "narrow.csv"], "narrow.csv: 2 columns; the network reads 3"),
        (
            ["efficient-kan", "net.pt", "--data", "narrow.csv", "--target", "b"],
            'narrow.csv: 1 columns beside the target "b"',
        ),
        (["efficient-kan", "net.pt", "--data", "nan.csv"], 'nan.csv: column "b": row 2 (line 3) is missing or NaN'),
        (["efficient-kan", "net.pt", "--data", "word.csv"], 'word.csv: column "b": row 1 (line 2) holds "red"'),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """It says what came; nothing is published beside what was there."""
    torch.save(_state(), "net.pt")
    Path("text.pt").write_text("weights")
    Path("narrow.csv").write_text("a,b\n1,2\n")
    Path("nan.csv").write_text("a,b,c\n1,2,3\n1,nan,3\n")
    Path("word.csv").write_text("a,b,c\n1,red,3\n")
    import_network(Import("efficient-kan", Path("net.pt"), "m", Path("models"), features=("a", "b", "c"), tune_for=()))
    before = sorted(Path("models").rglob("*"))
    name = [] if "--name" in arguments else ["--name", "m"]
    assert main(["import", *arguments, *name, "--tune-for", "none"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("kan-train: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert sorted(Path("models").rglob("*")) == before


@pytest.mark.parametrize(
    "arguments", [["--tune-for", "0"], ["--tune-for", ""], ["--features", 'a,"b"c'], ["--data", "t", "--features", "a"]]
)
def test_options_that_say_nothing_are_refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """By the parser, as for the other commands."""
    with pytest.raises(SystemExit, match="2"):
        main(["import", "pykan", "saved", "--name", "m", *arguments])
    assert arguments[0] in capsys.readouterr().err


def test_a_missing_reader_of_yaml_is_said_with_its_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint of pykan needs PyYAML, which [train] does not bring."""
    Path("saved_config.yml").write_text("width: []")
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert main(["import", "pykan", "saved", "--name", "m"]) == 2
    assert "pip install pyyaml" in capsys.readouterr().err

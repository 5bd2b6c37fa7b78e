"""Networks that other libraries trained become versions like our own, or are refused in one line."""

import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Mapping
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

from kan_api.ground import KnownGround
from kan_model.interop import load_efficient_kan_checkpoint, load_pykan_checkpoint
from kan_model.network import checkpoint
from kan_model.onnx_runtime import open_session
from training.cli import main
from training.pipelines.importing import Import, import_network
from training.pipelines.tune import tune
from training.publishing.publish import Published

with warnings.catch_warnings():
    # Its docstrings hold backslashes, of which Python warns when it compiles them.
    warnings.filterwarnings("ignore", "invalid escape sequence", SyntaxWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
    import kan as pykan

Values = NDArray[np.float64]
State = Callable[..., Mapping[str, Any]]
YES = ("--classes", "no,yes", "--target", "kind", "--name", "kinds")


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


@pytest.mark.slow
def test_a_pykan_network_with_its_table(folder: Path) -> None:
    """It answers as pykan does; ranges, histograms and metrics are the table's; all files are listed."""
    table = pd.DataFrame(np.random.default_rng(0).uniform(-2, 2, (150, 3)).astype(np.float32), columns=["a", "b", "c"])
    rows = torch.tensor(table.to_numpy())
    label = torch.sin(rows[:, :1]) * rows[:, 1:2]
    model = pykan.KAN(width=[3, 2, 1], grid=4, k=3, seed=0, auto_save=False)
    model.fit({"train_input": rows, "train_label": label, "test_input": rows, "test_label": label}, steps=3)
    model.saveckpt("saved")
    table.assign(yield_=label.double().numpy()).to_csv("fields.csv", index=False)
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
    assert [sum(answer.counts) for answer in manifest.answers] == [150]
    assert all(feature.attribution > 0 for feature in manifest.features[:2])
    assert [column.name for column in manifest.columns] == ["a", "b", "c"]
    assert (manifest.data.source, manifest.data.train_rows, len(manifest.data.fingerprint)) == ("fields.csv", 150, 64)
    assert (manifest.target, list(manifest.network.width), manifest.network.outside) == ("yield_", [3, 2, 1], "decay")
    missed = expected - label.double().numpy()
    assert manifest.metrics["train_rmse"] == pytest.approx(np.sqrt((missed**2).mean()), rel=1e-4)
    assert manifest.metrics["train_mae"] == pytest.approx(np.abs(missed).mean(), rel=1e-4)
    assert set(manifest.metrics) == {"train_rmse", "train_mae", "train_r2"}
    assert manifest.recipe == ""
    assert {file.name: file.sha256 for file in manifest.files} == {
        name: hashlib.sha256((published.folder / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "explain.onnx", "attribution.onnx", "network.safetensors", "report.html")
    }
    # The network itself, to the bit.
    content = (published.folder / "network.safetensors").read_bytes()
    assert content == checkpoint.to_bytes(load_pykan_checkpoint("saved"))


def test_an_efficient_kan_network_of_classes_without_a_table(folder: Path, state: State) -> None:
    """Probabilities as by SciPy, inside the grids and beyond; ranges are the grids', and there are no histograms."""
    tensors = state()
    torch.save(tensors, "net.pt")
    published = import_network(
        Import("efficient-kan", Path("net.pt"), "iris", Path("models"), classes=("no", "yes"), tune_for=())
    )
    manifest = published.manifest
    rows = np.random.default_rng(0).uniform(-2, 2, (200, 3)).astype(np.float32)
    expected = softmax(_by_scipy(tensors, rows.astype(np.float64)), axis=1)
    np.testing.assert_allclose(_run(published, rows)[0], expected, atol=2e-5, rtol=0)
    assert list(manifest.classes) == ["no", "yes"]
    assert [feature.name for feature in manifest.features] == ["x1", "x2", "x3"]
    for feature in manifest.features:
        assert (feature.low, feature.high) == pytest.approx((-1, 1), abs=1e-6)
        assert not feature.HasField("histogram")
        assert not feature.HasField("attribution")
    assert not manifest.answers
    assert (manifest.data.source, manifest.data.train_rows, dict(manifest.metrics)) == ("", 0, {})


def test_the_lowering_is_verified_and_the_explanation_adds_up(folder: Path, state: State) -> None:
    """The manifest says within what bound; edges of the last layer sum to the answers; numbers, several of them."""
    torch.save(state(prefix="head."), "net.pt")
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
    wanted = Import("pykan", Path("saved"), "m", Path("models"), data=Path("t.csv"), tune_for=(), unknown_ground="flag")
    published = import_network(wanted)
    assert [feature.constant for feature in published.manifest.features] == [False, False, True]
    assert [feature.HasField("histogram") for feature in published.manifest.features] == [True, False, False]
    assert published.manifest.unknown_ground == "flag"
    known = KnownGround.of(published.manifest)
    assert known is not None
    rows = np.array([[0, 0.5, 0.5], [0, 0.6, 0.5], [0, 0.5, 0.6]], np.float32)
    assert known.unknown(rows).tolist() == [[False, False, False], [False, True, False], [False, False, True]]


@pytest.mark.slow
def test_it_is_a_version_like_any_other(folder: Path, state: State) -> None:
    """The next import is the next version, and `tune` lowers it again from itself alone."""
    torch.save(state(), "net.pt")
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
        (["efficient-kan", "net.pt", "--data", "nan.csv"], 'nan.csv: column "b": 1 cell is missing, in row 2 (line 3)'),
        (["efficient-kan", "net.pt", "--held-out", "none.csv"], "none.csv: there is no such file"),
        (["efficient-kan", "net.pt", "--held-out", "good.csv"], 'there is no column "target" (the target)'),
        (["efficient-kan", "net.pt", "--held-out", "good.csv", "--target", "c"], "the network has 2 outputs"),
        (
            ["efficient-kan", "net.pt", *YES, "--features", "a,b,kind", "--held-out", "kinds.csv"],
            'the target "kind" is among the features',
        ),
        (
            ["efficient-kan", "net.pt", "--features", "a,target,c"],
            'the target "target" is among the features; --target',
        ),
        (["efficient-kan", "net.pt", "--target", "x2"], 'the target "x2" is among the features; --target'),
        (["efficient-kan", "net.pt", "--unknown-ground", "refuse"], 'unknown_ground is "refuse", and no table'),
        (["efficient-kan", "text.pth"], "text.pth: not the tensors of a state dict"),
        (["efficient-kan", "head.pt"], "give its prefix, here head."),
        (["pykan", "none"], "wanted PATH as it was given to saveckpt"),
        (["pykan", "saved_state"], "wanted PATH as it was given to saveckpt, without _state: saved"),
        (["pykan", "saved_config.yml"], "wanted PATH as it was given to saveckpt, without _config.yml: saved"),
        (["efficient-kan", "net.pt", *YES, "--data", "strange.csv"], '"maybe" is none of the classes "no", "yes"'),
        (["efficient-kan", "net.pt", *YES, "--held-out", "untold.csv"], 'column "kind": 1 cell is missing, in row 1'),
        (["efficient-kan", "net.pt", *YES, "--held-out", "narrow.csv"], 'there is no column "kind"'),
        (["efficient-kan", "net.pt", "--data", "word.csv"], 'word.csv: column "b": row 1 (line 2) holds "red"'),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    folder: Path, state: State, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """It says what came; nothing is published.

    This table is the one place that pins these messages.
    """
    torch.save(state(), "net.pt")
    torch.save(state(prefix="head."), "head.pt")
    Path("text.pt").write_text("weights")
    Path("text.pth").write_text("hello")
    Path("saved_state").write_bytes(b"")
    Path("saved_config.yml").write_bytes(b"")
    Path("narrow.csv").write_text("a,b\n1,2\n")
    Path("nan.csv").write_text("a,b,c\n1,2,3\n1,nan,3\n")
    Path("word.csv").write_text("a,b,c\n1,red,3\n")
    Path("good.csv").write_text("a,b,c\n1,2,3\n")
    Path("kinds.csv").write_text("a,b,c,kind\n1,2,3,yes\n")
    Path("strange.csv").write_text("a,b,c,kind\n1,2,3,maybe\n")
    Path("untold.csv").write_text("a,b,c,kind\n1,2,3,\n")
    name = [] if "--name" in arguments else ["--name", "m"]
    assert main(["import", *arguments, *name, "--tune-for", "none"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("kan-train: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert not Path("models").exists()


def test_other_inputs_need_another_name(folder: Path, state: State, capsys: pytest.CaptureFixture[str]) -> None:
    """What was published stays as it was. With --json both are told as one object a line."""
    torch.save(state(), "net.pt")
    arguments = ["import", "efficient-kan", "net.pt", "--name", "m", "--tune-for", "none", "--json"]
    assert main([*arguments, "--features", "a,b,c"]) == 0
    told, errors = capsys.readouterr()
    assert errors == ""
    (published,) = map(json.loads, told.splitlines())
    wanted = {"event": "published", "model": "m", "version": 1, "folder": "models/m/1", "metrics": {}}
    assert {name: published[name] for name in wanted} == wanted
    before = sorted(Path("models").rglob("*"))
    assert main([*arguments, "--features", "a,b,d"]) == 2
    told, errors = capsys.readouterr()
    assert "input 3" in errors
    assert json.loads(told) == {
        "event": "error",
        "message": errors.removeprefix("kan-train: ").rstrip("\n"),
        "exit_code": 2,
    }
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

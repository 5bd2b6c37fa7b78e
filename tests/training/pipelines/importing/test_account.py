"""The manifest and report of an imported version state only what is known of the network."""

import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sympy
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from torch import Tensor

from kan_model.interop import load_efficient_kan_checkpoint
from training.cli import main
from training.pipelines.importing import Import, import_network
from training.publishing.publish import Published
from training.publishing.repository import read_manifest

with warnings.catch_warnings():
    # Its docstrings hold backslashes, of which Python warns when it compiles them.
    warnings.filterwarnings("ignore", "invalid escape sequence", SyntaxWarning)
    warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
    import kan as pykan

Values = NDArray[np.float64]


def _table(seed: int, rows: int = 60) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.uniform(-1, 1, (rows, 3)).astype(np.float32).astype(float), columns=["a", "b", "c"])
    return table.assign(kind=random.choice(["no", "yes"], rows))


def _answers(model: Any, table: pd.DataFrame) -> Values:
    """Of pykan itself, in float64."""
    with torch.no_grad():
        answers: Values = model.double()(torch.from_numpy(table[["a", "b"]].to_numpy(copy=True))).numpy()
    return answers


def _page(published: Published) -> str:
    return (published.folder / "report.html").read_text(encoding="utf-8")


def _symbolic(*functions: str) -> Any:
    """A network of pykan whose edges are these functions of one input each, added."""
    model: Any = pykan.KAN(width=[2, 1], grid=3, k=3, seed=0, auto_save=False)
    model(torch.rand(10, 2))
    for place, function in enumerate(functions):
        model.fix_symbolic(0, place, 0, function, fit_params_bool=False, verbose=False)
    return model


@pytest.fixture
def kinds(folder: Path, state: Callable[..., Mapping[str, Tensor]]) -> Path:
    """Two classes of efficient-kan's, and tables for them."""
    torch.save(state(), "net.pt")
    _table(0).to_csv("train.csv", index=False)
    _table(1, 40)[["kind", "c", "a", "b"]].assign(more="x").to_csv("test.csv", index=False)
    return folder


def _import_kinds(**changes: Any) -> Published:
    given = {"classes": ("no", "yes"), "target": "kind", "tune_for": ()}
    return import_network(Import("efficient-kan", Path("net.pt"), "kinds", Path("models"), **(given | changes)))


def test_metrics_say_on_which_rows(kinds: Path) -> None:
    """train_ by the table that trained it, test_ by the rows it never saw, whatever the order of their columns."""
    published = _import_kinds(data=Path("train.csv"), held_out=Path("test.csv"))
    kan, metrics = load_efficient_kan_checkpoint("net.pt").double(), published.manifest.metrics
    for part, file in (("train", "train.csv"), ("test", "test.csv")):
        table = pd.read_csv(file)
        with torch.no_grad():
            logits = kan(torch.from_numpy(table[["a", "b", "c"]].to_numpy())).numpy()
        truth = (table["kind"] == "yes").to_numpy().astype(int)
        assert metrics[f"{part}_accuracy"] == pytest.approx((logits.argmax(axis=1) == truth).mean())
        log_loss = -log_softmax(logits, axis=1)[np.arange(len(truth)), truth].mean()
        assert metrics[f"{part}_log_loss"] == pytest.approx(log_loss, rel=1e-5)
    data = published.manifest.data
    assert (data.source, data.train_rows, data.validation_rows, data.test_rows) == ("train.csv", 60, 0, 40)


def test_the_report_tells_where_it_comes_from(kinds: Path) -> None:
    """Files with their sha256 as they are, the command; no recipe and no loss that nobody knows."""
    published = _import_kinds(data=Path("train.csv"), held_out=Path("test.csv"))
    page, origin = _page(published), published.manifest.origin
    assert (origin.kind, [file.name for file in origin.files]) == ("efficient-kan", ["net.pt"])
    assert origin.files[0].sha256 == hashlib.sha256(Path("net.pt").read_bytes()).hexdigest()
    for text in (
        origin.files[0].sha256,
        origin.command,
        "Trained by efficient-kan, imported",
        "40 test rows; always answering",
    ):
        assert text in page
    for value in published.manifest.metrics.values():
        assert f"{value:.5g}" in page
    for text in ("The recipe", "How it was learned", "rows that chose", "rows left out"):
        assert text not in page
    # Calibration, confusion matrix, effects, diagram, two edges.
    assert page.count("data:image/png;base64,") == 6
    assert len(re.findall("(?:src|href)=", page)) == 6


def test_without_a_table_there_are_curves_and_no_numbers(kinds: Path) -> None:
    """Over the grids, which the page says; neither metrics nor rows nor a fingerprint."""
    published = _import_kinds()
    page, manifest = _page(published), published.manifest
    assert page.count("data:image/png;base64,") == 4
    assert "curves are drawn over rows spread evenly over the network" in page
    assert "Not measured" in page
    assert "fingerprint" not in page
    assert "The rows that trained it are not known" in page
    assert (manifest.data.ByteSize(), dict(manifest.metrics), manifest.recipe, manifest.formula) == (0, {}, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("option", ["data", "held_out"])
def test_one_row_is_judged_and_draws_nothing(kinds: Path, option: str) -> None:
    """A point is no curve: those are drawn over the grids."""
    pd.read_csv("train.csv")[:1].to_csv("one.csv", index=False)
    published = _import_kinds(**{option: Path("one.csv")})
    assert published.manifest.metrics["train_accuracy" if option == "data" else "test_accuracy"] in (0, 1)
    assert "curves are drawn over rows spread evenly" in _page(published)


def test_names_come_from_held_out_rows_where_nothing_else_gives_them(kinds: Path) -> None:
    """In the order of their columns; ranges stay those of the grids."""
    _table(1).to_csv("plain.csv", index=False)
    features = _import_kinds(held_out=Path("plain.csv")).manifest.features
    assert [feature.name for feature in features] == ["a", "b", "c"]
    for feature in features:
        assert (feature.low, feature.high) == pytest.approx((-1, 1), abs=1e-6)
        assert not feature.HasField("histogram")


def test_several_numbers_have_names_and_are_not_judged(kinds: Path) -> None:
    """One column is no truth to two outputs."""
    published = _import_kinds(classes=(), data=Path("train.csv"))
    assert dict(published.manifest.metrics) == {}
    (note,) = published.notes
    assert note.startswith("not judged by train.csv: ")
    assert "Not measured" in _page(published)
    assert note in _page(published)


def test_a_network_of_formulas_tells_its_formula(folder: Path) -> None:
    """By sympy it answers as pykan, within the four digits that are shown; manifest, report and terminal have it."""
    model = _symbolic("sin", "x^2")
    model.symbolic_fun[0].affine.data[0, 0] = torch.tensor([3.0, 0.1, 2.0, 0.5])
    model.saveckpt("law")
    table = pd.DataFrame(np.random.default_rng(0).uniform(-1, 1, (50, 2)), columns=["a", "b"])
    published = import_network(Import("pykan", Path("law"), "law", Path("models"), features=("a", "b"), tune_for=()))
    name, text = published.manifest.formula.split(" = ")
    assert name == "target"
    values = sympy.lambdify(sympy.symbols("a b"), sympy.sympify(text))(table["a"].to_numpy(), table["b"].to_numpy())
    np.testing.assert_allclose(values, _answers(model, table)[:, 0], atol=2e-3)
    assert text in _page(published)


def test_rows_without_an_answer_are_said_and_not_scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A logarithm has none left of 0: metrics over the others would flatter. Pictures are of the others. With --quiet
    the report alone says so.
    """
    _symbolic("log").saveckpt("law")
    table = pd.DataFrame(np.random.default_rng(0).uniform(-1, 1, (50, 2)).astype(np.float32), columns=["a", "b"])
    table.assign(y=1.0).to_csv("rows.csv", index=False)
    arguments = ["import", "pykan", "law", "--name", "law", "--target", "y", "--tune-for", "none"]
    assert main([*arguments, "--held-out", "rows.csv"]) == 0
    silent = int((table["a"] <= 0).sum())
    text = f"not judged by rows.csv: the network has no answer to {silent} of 50 rows"
    assert text in capsys.readouterr().out
    manifest = read_manifest(Path("models/law/1"))
    assert manifest is not None
    assert dict(manifest.metrics) == {}
    page = Path("models/law/1/report.html").read_text()
    assert text in page
    assert page.count("data:image/png;base64,") == 4
    table.assign(a=-table["a"].abs()).assign(y=1.0).to_csv("rows.csv", index=False)
    assert main([*arguments, "--held-out", "rows.csv", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert "no answer to 50 of 50" in Path("models/law/2/report.html").read_text()


def test_the_terminal_tells_both_scores(kinds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the manifest has them."""
    options = ["--data", "train.csv", "--held-out", "test.csv", "--classes", "no,yes", "--target", "kind"]
    assert main(["import", "efficient-kan", "net.pt", "--name", "kinds", "--tune-for", "none", *options]) == 0
    told = capsys.readouterr().out
    manifest = read_manifest(Path("models/kinds/1"))
    assert manifest is not None
    assert f"training  60 rows: accuracy {manifest.metrics['train_accuracy']:.4g}, log loss " in told
    assert f"test      40 rows: accuracy {manifest.metrics['test_accuracy']:.4g}, log loss " in told


@pytest.mark.slow
def test_it_learns_on(kinds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recipe goes on from an imported version; the next one says from which, and no longer where that came from."""
    _import_kinds(data=Path("train.csv"))
    Path("on.toml").write_text(
        '[model]\nname = "kinds"\ncontinue_from = "models/kinds/1"\n[data]\npath = "train.csv"\ntarget = "kind"\n'
        'columns = ["a", "b", "c"]\n[task]\nkind = "classification"\n[fit]\nsteps = 3\n[lowering]\ntune_for = []\n'
        "[verify]\ntolerance = 1e-4\n"
    )
    assert main(["run", "on.toml"]) == 0
    assert "continued version 1; " in capsys.readouterr().out
    manifest = read_manifest(Path("models/kinds/2"))
    assert manifest is not None
    assert (manifest.continued_from, manifest.HasField("origin")) == (1, False)

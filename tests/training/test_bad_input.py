"""Bad input to fits and runs gives an error that says what was found and wanted, or finite numbers."""

import contextlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from torch import Tensor

from kan_model import KAN, KANConfig, SymbolicEdge, fix_symbolic
from kan_model.network import checkpoint
from kan_model.onnx_runtime import run as run_model
from training.data.objective.loss_function import Task
from training.data.samples import Samples
from training.errors import TrainingError
from training.fitting.baseline import fit_baseline
from training.fitting.continual import fit_on
from training.fitting.fit import FitState, fit, fit_module
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import parse_recipe
from training.recipe.fit_sections import FitSection

LBFGS = FitSection(optimizer="lbfgs", grids=(5,), steps=5)
ADAM = FitSection(optimizer="adam", grids=(5,), steps=5, batch_rows=16)
LEVENBERG = FitSection(optimizer="levenberg-marquardt", grids=(5,), steps=5)


def on_new_rows(kan: KAN, train: Samples) -> KAN:
    """fit_on, of rows that are all new."""
    task: Task = "regression" if train.y.is_floating_point() else "classification"
    return fit_on(kan, train.x, train.y, task=task, plan=FitSection(optimizer="lbfgs", steps=5)).kan


def on(plan: FitSection) -> Callable[[KAN, Samples], torch.nn.Module]:
    """Fit by this plan on the network's own grid."""

    def run(kan: KAN, train: Samples) -> KAN:
        grids = (kan.layers[0].grid_size,)
        own = plan.model_copy(update={"grids": grids})
        return fit(kan, train, train, own, "regression" if train.y.is_floating_point() else "classification").best

    return run


FITS: dict[str, Callable[[KAN, Samples], torch.nn.Module]] = {
    "fit, lbfgs": on(LBFGS),
    "fit, adam": on(ADAM),
    "fit, levenberg-marquardt": on(LEVENBERG),
    "fit_module": lambda kan, train: fit_module(kan, train, train, LBFGS, "regression").best,
    "fit_baseline": lambda kan, train: fit_baseline(kan, train, train, ADAM, "regression").network,
    "fit_on": on_new_rows,
}


def network(grid_size: int = 5) -> KAN:
    """[2, 3, 2], float32."""
    return KAN(KANConfig((2, 3, 2), grid_size=grid_size))


def rows(count: int = 40) -> Tensor:
    """In [−1, 1]²."""
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1


def one_changed(value: float) -> Tensor:
    """Rows of which the third holds this."""
    x = rows()
    x[3, 1] = value
    return x


REFUSED: dict[str, tuple[Samples, str]] = {
    "NaN in a row": (Samples(one_changed(math.nan), rows()), "rows .*3.*; wanted"),
    "infinity in a row": (Samples(one_changed(math.inf), rows()), "rows .*3.*; wanted"),
    "NaN in a target": (Samples(rows(), one_changed(math.nan)), "targets .*finite.*; wanted|targets .*3.*; wanted"),
    "no row": (Samples(rows(0), rows(0)), r"rows .*\(0, 2\); wanted \[1 or more"),
    "a column more": (Samples(torch.zeros(40, 3), rows()), r"rows .*\(40, 3\); wanted"),
    "a target less": (Samples(rows(), rows(39)), r"targets .*\(39, 2\); wanted"),
    "one dimension": (Samples(rows(), rows()[:, 0]), r"targets .*\(40,\); wanted|\(40, 40\)"),
    "one output": (Samples(rows(), rows()[:, :1]), r"targets .*\(40, 1\); wanted"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("name", FITS)
def test_samples_that_are_none_are_refused(name: str, what: str) -> None:
    """Which rows or shape came and what was wanted, before the first step."""
    samples, said = REFUSED[what]
    with pytest.raises(ValueError, match=said):
        FITS[name](network(), samples)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (torch.full((40,), 2), "from 2 to 2"),
        (torch.full((40,), -1), "from -1 to -1"),
        (torch.zeros(40, 1, dtype=torch.int64), r"\(40, 1\); wanted \(40,\)"),
    ],
    ids=["a class more", "a class before the first", "a column"],
)
@pytest.mark.parametrize("name", ["fit, lbfgs", "fit, adam", "fit, levenberg-marquardt", "fit_on"])
def test_classes_that_are_none_are_refused(name: str, y: Tensor, said: str) -> None:
    """The network's outputs are its classes."""
    with pytest.raises(ValueError, match=said):
        FITS[name](network(), Samples(rows(), y))


@pytest.mark.parametrize(
    ("grid_size", "samples"),
    [
        (5, Samples(rows(1), rows(1))),
        (5, Samples(rows(1).repeat(40, 1), rows(1).repeat(40, 1))),
        (40, Samples(rows(5), rows(5))),
        (5, Samples(rows(), torch.ones(40, 2))),
        (5, Samples(rows() * 1e6, rows())),
    ],
    ids=["one row", "one row many times", "a grid finer than the rows", "equal targets", "far outside"],
)
@pytest.mark.parametrize("name", FITS)
def test_few_or_odd_samples_leave_finite_weights(name: str, grid_size: int, samples: Samples) -> None:
    """One row can be learned as well as many: what it does not determine stays. The loss is not larger than before."""
    kan = network(grid_size)
    if name == "fit_on" and samples.x.abs().max() > 1e3:
        # Under clamp the coefficients at the ends of the domain are touched.
        samples = Samples(samples.x.sign() * 2, samples.y)
    fitted = FITS[name](kan, samples)
    assert all(bool(torch.isfinite(tensor).all()) for tensor in fitted.state_dict().values())
    with torch.no_grad():
        assert torch.isfinite(fitted(samples.x)).all()


@pytest.mark.parametrize("name", [name for name in FITS if name.startswith("fit,") or name == "fit_on"])
def test_one_class_leaves_finite_weights(name: str) -> None:
    """If all rows are of class 1, the answer is always class 1."""
    fitted = FITS[name](network(), Samples(rows(), torch.ones(40, dtype=torch.int64)))
    assert all(bool(torch.isfinite(tensor).all()) for tensor in fitted.state_dict().values())


@pytest.mark.parametrize("name", [name for name in FITS if name != "fit_baseline"])
def test_a_function_outside_its_domain_is_named(name: str) -> None:
    """A logarithm of negative rows: layer, edge and row. The MLP beside it does not compute it."""
    kan = fix_symbolic(network(), 0, SymbolicEdge(0, 1, "log", 1, 0, 1, 0))
    with pytest.raises(TrainingError, match=r"input 1 .*nan to row"):
        FITS[name](kan, Samples(rows(), rows()))


@pytest.mark.parametrize("name", [name for name in FITS if name != "fit_baseline"])
def test_a_network_of_nan_is_refused(name: str) -> None:
    """A network with NaN is refused."""
    kan = network()
    kan.layers[1].coefficients.data[0, 0, 0] = math.nan
    with pytest.raises((ValueError, TrainingError), match=r"not finite|nan"):
        FITS[name](kan, Samples(rows(), rows()))


class Quiet(Watcher):
    """A watcher that makes the fit diverge once its second grid is begun, if it is told so."""

    def __init__(self, *, spoil: bool = False) -> None:
        self.spoil = spoil

    def on_step(self, state: FitState) -> None:
        if self.spoil and state.stage == 1:
            # As a step that is much too long would: the next one sees numbers that are not finite.
            state.kan.layers[0].coefficients.data.mul_(1e38).mul_(1e38)


def table(count: int = 60) -> pd.DataFrame:
    """Columns a and b, y = sin a + b, and whether that is high."""
    random = np.random.default_rng(0)
    a, b = random.uniform(-2, 2, count), random.uniform(10, 11, count)
    y = np.sin(a) + b
    return pd.DataFrame({"a": a, "b": b, "y": y, "high": np.where(y > 10.5, "yes", "no")})


def run_of(
    frame: pd.DataFrame, folder: Path, *, kind: str = "regression", more: str = "", grids: str = "[3]", fit_: str = ""
) -> Run:
    """``kan-train run`` of a recipe for this table."""
    frame.to_csv(folder / "table.csv", index=False)
    target = "y" if kind == "regression" else "high"
    recipe = parse_recipe(
        f'[model]\nname = "bad"\n[data]\npath = "{folder / "table.csv"}"\ntarget = "{target}"\ncolumns = ["a", "b"]\n'
        f'{more}\n[task]\nkind = "{kind}"\n[network]\nhidden = [2]\n[fit]\ngrids = {grids}\nsteps = 4\n{fit_}\n'
        "[lowering]\ntune_for = []\n",
        folder=folder,
        name="bad.toml",
    )
    return Run(recipe, folder / "models", RunFolder(folder / "run"))


def changed(**columns: float | str | list[float]) -> pd.DataFrame:
    """The table with some columns replaced."""
    return table().assign(**columns)


REFUSED_TABLES: dict[str, tuple[pd.DataFrame, str, str]] = {
    "one row": (table(1), "regression", "row"),
    "two rows": (table(2), "regression", "row"),
    "no row": (table(0), "regression", "row"),
    "one class": (changed(high="yes"), "classification", "in every row"),
    "equal targets": (changed(y=2.0), "regression", "the same in every training row"),
    "constant columns": (
        changed(a=4.0, b=1.0),
        "classification",
        "2 of 2 inputs hold one value.*wanted one that varies",
    ),
    "NaN in a column": (changed(a=[math.nan, *[1.0] * 59]), "regression", "1 cell is missing.*fill"),
    "a column of NaN": (changed(a=math.nan), "regression", "60 cells are missing.*fill"),
    "NaN in the target": (changed(y=[math.nan, *range(59)]), "regression", "the target: 1 cell is missing.*remove"),
    "infinity in a column": (changed(a=[math.inf, *range(59)]), "regression", "a.*inf"),
}


@pytest.mark.parametrize("what", REFUSED_TABLES)
def test_tables_that_are_none_are_refused(what: str, tmp_path: Path) -> None:
    """A flawed table gives one message, and nothing is published."""
    frame, kind, said = REFUSED_TABLES[what]
    with pytest.raises(TrainingError, match=said):
        train(run_of(frame, tmp_path, kind=kind), Quiet())
    assert not list((tmp_path / "models").glob("bad/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("frame", "kind", "more", "grids"),
    [
        (changed(a=4.0), "regression", "", "[3]"),
        (changed(a=[math.nan, *range(59)]), "regression", 'missing = "drop_rows"', "[3]"),
    ],
    ids=["a constant column", "NaN rows left out"],
)
def test_odd_tables_become_finite_versions(
    frame: pd.DataFrame, kind: str, more: str, grids: str, tmp_path: Path
) -> None:
    """A column that says nothing says nothing, rows bend the intervals where they are, rows that lack a cell go.

    What is published has finite weights and answers, and a manifest that is JSON without NaN.
    """
    run = run_of(frame, tmp_path, kind=kind, more=more, grids=grids)
    published = train(run, Quiet())
    kan = checkpoint.load(run.folder.path / "kan.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in kan.state_dict().values())
    model = onnx.load(published.folder / "model.onnx")
    assert np.isfinite(run_model(model, np.array([[0, 10.5], [4, 1]], np.float32))).all()
    json.loads((published.folder / "manifest.json").read_text(), parse_constant=pytest.fail)


def test_a_grid_finer_than_the_rows_is_refused(tmp_path: Path) -> None:
    """Of 60 rows 39 train: as many intervals are taken, one more is refused before the first step."""
    with pytest.raises(ValueError, match="40 intervals for 39"):
        train(run_of(table(), tmp_path, grids="[3, 40]"), Quiet())
    assert not list((tmp_path / "models").glob("bad/*"))
    assert train(run_of(table(), tmp_path, grids="[3, 39]"), Quiet()).manifest.network.grid_size in (3, 39)


@pytest.mark.slow
def test_a_run_whose_second_grid_diverges_publishes_the_first(tmp_path: Path) -> None:
    """The network of the first grid, and a note that says so; the same run without its second grid has the same one."""
    frame = table()
    both = run_of(frame, tmp_path, grids="[3, 6]")
    published = train(both, Quiet(spoil=True))
    kept = checkpoint.load(both.folder.path / "kan.safetensors")
    assert any("grid 6" in note and "not finite" in note for note in published.notes)
    (tmp_path / "one").mkdir()
    first = run_of(frame, tmp_path / "one", grids="[3]")
    train(first, Quiet())
    wanted = checkpoint.load(first.folder.path / "kan.safetensors").state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in kept.state_dict().items())


def test_a_learning_rate_much_too_large_publishes_nothing_that_is_not_finite(tmp_path: Path) -> None:
    """Adam at the largest learning rate there is: weights are finite, or nothing is published."""
    run = run_of(table(), tmp_path, fit_="learning_rate = 1e6")
    with contextlib.suppress(TrainingError):
        train(run, Quiet())
    result = run.folder.path / "kan.safetensors"
    assert result.exists() == bool(list((tmp_path / "models").glob("bad/*")))
    if result.exists():
        assert all(bool(torch.isfinite(tensor).all()) for tensor in checkpoint.load(result).state_dict().values())


def test_a_learning_rate_beyond_float32_is_refused(tmp_path: Path) -> None:
    """What LBFGS's line search may make of it does not fit into float32."""
    with pytest.raises(TrainingError, match="learning_rate"):
        run_of(table(), tmp_path, fit_="learning_rate = 1e7")

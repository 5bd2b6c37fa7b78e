"""A recipe with [intervals]: interrupted, refitted, searched, continued; what may not calibrate does not."""

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.onnx_runtime import open_session
from tests.kit.watcher import Quiet
from training.data.dataset import prepare
from training.errors import Interrupted
from training.fitting.fit import FitState
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError, RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import load_recipe

SECTIONS = "[ensemble]\nmembers = 4\n[intervals]\ncoverage = 0.8\n"
SEARCH = "[search]\n[[search.candidates]]\nsteps = 5\n[[search.candidates]]\nsteps = 8\n"
TREES = '[baseline]\nkinds = ["boosted"]\n'
REFIT = SECTIONS.replace("members = 4", "members = 4\nrefit = true")


class Stopping(Watcher):
    """After so many steps SIGINT comes to this process."""

    def __init__(self, after: int) -> None:
        self.left = after

    def on_step(self, state: FitState) -> None:
        """Count down."""
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def run(write_recipe: Callable[..., Path], tmp_path: Path) -> Callable[..., Run]:
    """A run on 200 rows with words and gaps, of which 160 may train and 40 judge."""

    def of(more: str = SECTIONS, **options: object) -> Run:
        path = write_recipe(**({"steps": 8} | options))
        path.write_text(path.read_text() + more)
        return Run(load_recipe(path), tmp_path / "models", RunFolder(tmp_path / "run"))

    return of


def told_of(given: Run) -> ModelManifest:
    """The manifest of the run."""
    manifest: ModelManifest = train(given, Quiet()).manifest
    return manifest


@pytest.mark.parametrize(
    ("more", "after"),
    [(SECTIONS, 5), (SECTIONS + SEARCH, 5), (REFIT + SEARCH, 14)],
    ids=["plain", "search", "refit"],
)
def test_a_stopped_run_goes_on_to_the_same_bounds(
    more: str, after: int, run: Callable[..., Run], tmp_path: Path
) -> None:
    """To the byte: what the folds have seen is kept with the state of the fit."""
    given = run(more)
    whole = train(replace(given, models=tmp_path / "whole", folder=RunFolder(tmp_path / "other")), Quiet())
    try:
        stopped = train(given, Stopping(after))
    except Interrupted:
        stopped = train(replace(given, resume=True), Quiet())
    assert (stopped.folder / "model.onnx").read_bytes() == (whole.folder / "model.onnx").read_bytes()
    assert stopped.manifest.intervals == whole.manifest.intervals


def test_all_rows_that_may_train_calibrate_and_the_test_rows_judge(run: Callable[..., Run]) -> None:
    """The manifest tells the numbers; the outputs stand beside the answer."""
    manifest = told_of(run())
    told = manifest.intervals
    assert (told.calibration_rows, told.judged_by, told.judged_rows) == (160, "test", 40)
    assert [output.name for output in manifest.outputs] == ["prediction", "lower", "upper"]
    assert not told.HasField("quantile_pair")


def test_rows_that_chose_a_candidate_calibrate_neither_fit(run: Callable[..., Run]) -> None:
    """Two of four folds chose: 80 rows are left for the first fit, and the 40 test rows come to them in the refit.

    These rows judged the fit before the refit and the trees beside it; the refit keeps what they said.
    """
    before = told_of(run(SECTIONS + SEARCH + TREES)).intervals
    assert before.calibration_rows == 80
    told = told_of(run(REFIT + SEARCH + TREES)).intervals
    assert (told.calibration_rows, told.judged_by, told.judged_rows) == (120, "test", 40)
    assert told.half_width != before.half_width
    assert told.quantile_pair == before.quantile_pair
    assert told.quantile_pair.train_rows == 160
    for name in ("judged_coverage", "judged_width", "curve_asked", "curve_found"):
        assert getattr(told, name) == getattr(before, name)


def test_the_judged_share_is_that_of_the_served_graph(run: Callable[..., Run]) -> None:
    """Without a refit: count the test rows between the outputs of model.onnx; so are the widths at equal coverage.

    The trees are fitted by scikit-learn once more, to all rows but the test rows.
    """
    given = run(SECTIONS + TREES)
    published = train(given, Quiet())
    held_out = pd.read_csv(given.folder.held_out)
    words = [(held_out["color"] == word).to_numpy(dtype=np.float32) for word in ("red", "blue")]
    numbers = [held_out[name].to_numpy(dtype=np.float32) for name in ("length", "fixed", "width")]
    rows = np.stack([*numbers[:2], *words, numbers[2]], axis=1)
    truth = held_out["weight"].to_numpy()
    answers, lower, upper = open_session(onnx.load(published.folder / "model.onnx")).run(rows)
    inside = (lower[:, 0] <= truth) & (truth <= upper[:, 0])
    told = published.manifest.intervals
    assert told.judged_coverage[0] == pytest.approx(inside.mean(), abs=1e-9)
    assert told.judged_width[0] == pytest.approx((upper - lower).mean(), rel=1e-4)
    curve = dict(zip(told.curve_asked, told.curve_found, strict=True))
    assert len(curve) == 12
    assert curve[0.8] == pytest.approx(inside.mean(), abs=1e-9)
    # Of 40 rows 32 lie between bounds whose factor is the 32nd smallest.
    half = (upper - lower)[:, 0] / 2
    factor = np.sort(np.abs(truth - answers[:, 0]) / half)[31]
    pair = told.quantile_pair
    assert pair.intervals_equal_width[0] == pytest.approx(2 * factor * half.mean(), rel=1e-4)
    dataset = prepare(given.recipe)
    others = np.concatenate([dataset.train, dataset.validation])
    x, y = dataset.x[others], dataset.y[others, 0]
    quantiles = [
        HistGradientBoostingRegressor(loss="quantile", quantile=each, random_state=0).fit(x, y).predict(rows)
        for each in ((1 - 0.8) / 2, (1 + 0.8) / 2)
    ]
    lower, upper = np.minimum(*quantiles), np.maximum(*quantiles)
    assert pair.train_rows == len(y) == 160
    assert pair.judged_coverage[0] == pytest.approx(np.mean((lower <= truth) & (truth <= upper)), abs=1e-9)
    assert pair.judged_width[0] == pytest.approx((upper - lower).mean())
    half, middle = (upper - lower) / 2, (upper + lower) / 2
    beyond = np.sort(np.maximum(lower - truth, truth - upper))[31]
    ways = (2 * np.sort(np.abs(truth - middle) / half)[31] * half, np.maximum(2 * (half + beyond), 0))
    assert pair.equal_width[0] == pytest.approx(min(way.mean() for way in ways))
    page = (published.folder / "report.html").read_text()
    assert f"{pair.equal_width[0]:.5g}" in page
    assert "two fits of scikit-learn" in page


def test_a_state_without_intervals_cannot_get_them(run: Callable[..., Run]) -> None:
    """The fit has not kept what they are made from; the message names the section. Their keys may change."""
    with pytest.raises(Interrupted):
        train(run("[ensemble]\nmembers = 4\n"), Stopping(5))
    with pytest.raises(RunError, match=r"\[intervals\] was left out"):
        train(replace(run(), resume=True), Quiet())
    with pytest.raises(Interrupted):
        train(replace(run(), fresh=True), Stopping(5))
    other = run(SECTIONS.replace("0.8", "0.5"))
    assert train(replace(other, resume=True), Quiet()).manifest.intervals.coverage == 0.5


def test_a_version_that_learns_on_has_no_bounds(run: Callable[..., Run], write_recipe: Callable[..., Path]) -> None:
    """They were made for the network before; a note says so."""
    given = run()
    train(given, Quiet())
    path = write_recipe()
    text = path.read_text().replace('name = "flowers"', f'name = "flowers"\ncontinue_from = "{given.models}/flowers/1"')
    path.write_text(text.replace("[network]\nhidden = [3]\n", "").replace("grids = [3]\n", ""))
    published = train(Run(load_recipe(path), given.models, RunFolder(given.models.parent / "on")), Quiet())
    assert [output.name for output in published.manifest.outputs] == ["prediction"]
    assert not published.manifest.HasField("intervals")
    assert any("the intervals of version 1 were made for its network" in note for note in published.notes)

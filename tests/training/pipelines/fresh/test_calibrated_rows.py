"""Which rows calibrate, by which member, and as what they count: where one of these goes wrong, no number looks odd."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import log_loss

from kan_model import members_of
from training.calibration import LeftOutRows, choose_mean_temperature
from training.calibration.sets import find_threshold
from training.data.dataset import Dataset, prepare
from training.pipelines.fresh.calibrated import CalibratedFit, calibrate_fit
from training.pipelines.fresh.fit import new_fit
from training.pipelines.run import Run
from training.pipelines.run_folder import RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.recipe.config import load_recipe

Values = NDArray[np.float64]

RECIPE = """
[model]
name = "rows"
[data]
path = "rows.csv"
target = "kind"
columns = ["a", "b", "c"]
{data}
[task]
kind = "classification"
{task}
[split]
seed = 1
{split}
[network]
hidden = [6]
[fit]
grids = {grids}
steps = 150
learning_rate = 0.05
batch_rows = 64
label_smoothing = 0.3
[ensemble]
members = 4
{ensemble}
[lowering]
tune_for = []
[calibration]
coverage = 0.8
"""
SEARCH = "[search]\n[[search.candidates]]\nsteps = 4\n[[search.candidates]]\nsteps = 8\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Classes that are mostly chance, so that members know the rows they trained on better than others."""
    folder, random = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    x = random.uniform(-1, 1, (240, 3))
    kind = np.where(random.random(240) < 1 / (1 + np.exp(-2 * x[:, 0])), "yes", "no")
    table = pd.DataFrame(x, columns=["a", "b", "c"]).assign(kind=kind, shop=np.arange(240) // 6)
    table.assign(weight=random.integers(0, 5, 240)).to_csv(folder / "rows.csv", index=False)
    return folder


def written(folder: Path, name: str, more: str = "", **keys: str) -> Path:
    """The recipe with further sections and keys."""
    path = folder / f"{name}.toml"
    path.write_text(
        RECIPE.format(**({"data": "", "task": "", "split": "", "grids": "[5]", "ensemble": ""} | keys)) + more
    )
    return path


class Fitted:
    """A fit at its end, its calibration, and the answers of each member to the rows that may train."""

    def __init__(self, path: Path) -> None:
        recipe = load_recipe(path)
        way, data = new_fit(recipe, prepare(recipe))
        state = way.begin()
        for _ in way.steps(state):
            pass
        trained = Trained(way.network(state), data.inputs, data.outputs)
        self.dataset: Dataset = data.dataset
        self.calibrate = partial(calibrate_fit, way, state, trained=trained, recipe=recipe)
        calibrated = self.calibrate(dataset=data.dataset)
        assert calibrated is not None
        self.calibrated: CalibratedFit = calibrated
        rows = way.left_out(state)
        assert rows is not None
        self.rows: LeftOutRows = rows
        told = way.out_of_fold(state)
        assert told is not None
        numbers, answers = told
        kept = np.isin(numbers, rows.numbers)
        np.testing.assert_array_equal(numbers[kept], rows.numbers)
        self.left_out_answers: Values = answers[kept]
        x = data.dataset.x[rows.numbers]
        each = [predict(replace(trained, kan=one, outputs=None), x) for one in members_of(trained.kan)]
        self.scores: Values = np.stack(each, axis=1).astype(np.float64)
        self.truth = data.dataset.y[rows.numbers].astype(np.int64)


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Fitted:
    """Without weights or groups."""
    return Fitted(written(folder, "plain"))


def test_each_row_is_told_with_the_member_that_left_it_out(fitted: Fitted) -> None:
    """That member answers as the fit's out-of-fold answers, and errs more on these rows than each other one."""
    places, own = np.arange(len(fitted.truth)), fitted.rows.members
    answers = softmax(fitted.scores, axis=2)
    np.testing.assert_allclose(answers[places, own], fitted.left_out_answers, atol=1e-4)
    losses = [log_loss(fitted.truth, answers[places, (own + shift) % 4]) for shift in range(4)]
    assert losses[0] > max(losses[1:])


def test_sets_are_made_of_the_answers_of_members_that_left_the_rows_out(fitted: Fitted) -> None:
    """Not of the mean, three of whose members trained on the row: its threshold is higher, and promises too much."""
    message, places = fitted.calibrated.message, np.arange(len(fitted.truth))
    of_left_out, of_mean = (
        find_threshold(softmax(scores / message.temperature, axis=1)[places, fitted.truth], 0.8)
        for scores in (np.log(fitted.left_out_answers), fitted.scores.mean(axis=1))
    )
    assert message.sets.threshold == pytest.approx(of_left_out, rel=1e-3)
    assert of_mean > 1.02 * of_left_out


def test_a_test_row_without_an_answer_does_not_judge(fitted: Fitted) -> None:
    """A cell may be empty in a column that was never empty in training; all numbers are those of the other rows."""
    dataset = fitted.dataset
    x = dataset.x.copy()
    x[dataset.test[0], 1] = np.nan
    given = replace(dataset, x=x), replace(dataset, test=dataset.test[1:])
    found, wanted = (calibrated.message for each in given if (calibrated := fitted.calibrate(dataset=each)))
    assert found.sets == wanted.sets
    assert found.test.rows == wanted.test.rows == found.sets.judged_rows == len(dataset.test) - 1
    for name in ("log_loss_before", "log_loss_after", "error_before", "error_after", "error_by_chance"):
        assert getattr(found.test, name) == pytest.approx(getattr(wanted.test, name), rel=1e-5)


@pytest.mark.parametrize("kind", ["weights", "groups", "time"])
def test_rows_count_by_their_weights_and_groups(folder: Path, kind: str) -> None:
    """In c, in T, in its error, and in what is told; without them each of these is another. Time is cut into √rows."""
    keys = {
        "weights": {"data": 'weights = "weight"', "task": 'class_weights = "balanced"'},
        "groups": {"split": 'kind = "group"\ncolumn = "shop"', "grids": "[3, 6]"},
        "time": {"split": 'kind = "time"\ncolumn = "shop"'},
    }[kind]
    found = Fitted(written(folder, kind, **keys))
    dataset, numbers = found.dataset, found.rows.numbers
    message, chosen = found.calibrated.message, found.calibrated.temperature
    weights = np.ones(len(numbers))
    if kind == "weights":
        # As scikit-learn balances: rows / (classes · rows of the class), by weight, of the rows that train.
        assert dataset.weights is not None
        assert dataset.class_weights is not None
        weights = dataset.weights[numbers] * np.asarray(dataset.class_weights)[found.truth]
    groups = None if kind == "weights" else pd.read_csv(folder / "rows.csv")["shop"].to_numpy()[numbers]
    if kind == "time":
        ends = np.linspace(0, len(numbers), int(np.sqrt(len(numbers))) + 1)[1:]
        groups = np.searchsorted(ends, np.arange(len(numbers)), side="right")
    kept = weights > 0
    of_groups = None if groups is None else groups[kept]
    rows = (found.scores[kept], found.rows.members[kept], found.truth[kept])
    made = choose_mean_temperature(*rows, weights[kept], of_groups)
    wanted, plain = made.chosen, choose_mean_temperature(*rows).chosen
    assert chosen.error == pytest.approx(wanted.error, rel=1e-3)
    assert chosen.best == pytest.approx(wanted.best, rel=1e-3)
    assert abs(plain.error / wanted.error - 1) > 0.01
    told = message.estimated
    losses = log_loss(found.truth[kept], softmax(made.scores, axis=1), sample_weight=weights[kept])
    assert told.log_loss_before == pytest.approx(losses, rel=1e-4)
    assert told.rows == kept.sum()


def test_a_refit_leaves_out_the_rows_that_chose_its_plan(folder: Path, tmp_path: Path) -> None:
    """Candidates competed on them before the refit began; neither T nor sets are made of them."""
    path = written(folder, "searched", SEARCH, ensemble="refit = true")
    chose = len(Fitted(written(folder, "once", SEARCH)).rows.chose)
    assert chose > 50
    made = train(Run(load_recipe(path), tmp_path, RunFolder(tmp_path / "run")), Watcher()).manifest.calibration
    assert made.test.rows > 0
    assert made.estimated.rows == made.sets.calibration_rows == 240 - chose

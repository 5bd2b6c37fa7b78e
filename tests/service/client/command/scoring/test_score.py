"""Accuracy, root mean square error and R², added up block by block, against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_pinball_loss, r2_score, root_mean_squared_error

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, ModelManifest, Objective
from service.client.answers import Prediction
from service.client.command.scoring.score import Accuracy, Deviation, score_for
from service.client.encoding.table_rows import TableRows
from service.client.errors import InvalidInput


def rows(cells: list[object]) -> TableRows:
    """Rows whose truth is in t."""
    return TableRows({"t": cells}, len(cells), lambda row: f"row {row + 1}")


def numbers(values: list[float]) -> Prediction:
    """Predicted numbers."""
    return Prediction("m", 1, {"y": np.array(values, dtype=np.float32).reshape(-1, 1)}, None, 0.0, 0.0)


def words(labels: list[str | None]) -> Prediction:
    """Predicted words."""
    return Prediction("m", 1, {"y": np.zeros((len(labels), 2), np.float32)}, tuple(labels), 0.0, 0.0)


def test_the_task_decides_the_score() -> None:
    """Classes are counted, numbers measured."""
    assert isinstance(score_for(ModelManifest(task=TASK_CLASSIFICATION), "t"), Accuracy)
    assert isinstance(score_for(ModelManifest(task=TASK_REGRESSION), "t"), Deviation)


def test_a_target_among_several_is_compared_with_its_own_output() -> None:
    """A column of another name is compared with the first output, as with one target."""
    manifest = ModelManifest(task=TASK_REGRESSION, targets=["far", "t"])
    found = Prediction("m", 1, {"y": np.array([[5, 1], [6, 2]], np.float32)}, None, 0.0, 0.0)
    score = score_for(manifest, "t")
    score.add(rows([1, 2]), found)
    assert score.summary() == 'RMSE 0, R² 1.0000 (2 rows); compared is only "t"; the model answers "far" too'
    first = score_for(ModelManifest(task=TASK_REGRESSION, targets=["far", "near"]), "t")
    first.add(rows([5, 6]), found)
    assert first.summary() == (
        'RMSE 0, R² 1.0000 (2 rows); compared is only "far", the first target, with column "t"; the model '
        'answers "near" too'
    )


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_a_quantile_has_its_own_loss(quantile: float) -> None:
    """That of scikit-learn over all blocks; and the share that it promises, in place of RMSE and R²."""
    random = np.random.default_rng(0)
    truth = random.normal(size=50)
    guess = random.normal(size=50).astype(np.float32)
    manifest = ModelManifest(task=TASK_REGRESSION, objective=Objective(loss="quantile", quantile=quantile))
    score = score_for(manifest, "t")
    assert score.summary() == 'pinball loss unknown: no row has a value in column "t"'
    for start in range(0, 50, 20):
        score.add(rows(["", *truth[start : start + 20]]), numbers([0.0, *guess[start : start + 20]]))
    loss, share, *_ = (float(word.strip(",")) for word in score.summary().split() if word[0].isdigit())
    assert loss == pytest.approx(mean_pinball_loss(truth, guess.astype(np.float64), alpha=quantile), rel=1e-5)
    assert share == pytest.approx(float((truth <= guess).mean()), abs=1e-4)
    assert f"the {quantile:g} quantile (50 rows, 3 without a true value left out)" in score.summary()


def test_accuracy_counts_over_blocks() -> None:
    """Rows without truth are left out, a label that the model could not give is wrong."""
    score = Accuracy("t", ("0", "1"))
    score.add(rows(["0", "1", ""]), words(["0", "0", "1"]))
    score.add(rows([1, None, "0"]), words(["1", "1", None]))
    assert score.summary() == "accuracy 0.5000 (2 of 4 rows, 2 without a true value left out)"


def test_a_truth_the_model_does_not_know_is_told() -> None:
    """It counts as wrong, and the summary says why."""
    score = Accuracy("t", ("0", "1"))
    score.add(rows(["0", "7", "x"]), words(["0", "1", "1"]))
    assert score.summary() == 'accuracy 0.3333 (1 of 3 rows); 2 hold no class of the model, the first is "7"'


def test_nothing_told_is_said() -> None:
    """No division by zero."""
    for score in (Accuracy("t", ("a",)), Deviation("t")):
        score.add(rows([""]), words(["a"]) if isinstance(score, Accuracy) else numbers([1.0]))
        assert 'unknown: no row has a value in column "t"' in score.summary()


def test_a_constant_truth_has_no_r2() -> None:
    """As R² compares with the spread of the truth."""
    score = Deviation("t")
    score.add(rows([2, 2]), numbers([1.0, 3.0]))
    assert score.summary() == "RMSE 1, R² undefined (the truth is constant) (2 rows)"


def test_a_truth_that_is_no_number_is_an_error() -> None:
    """With its row."""
    with pytest.raises(InvalidInput, match=r'row 2: .*"t" .*"x"'):
        Deviation("t").add(rows([1, "x"]), numbers([1.0, 3.0]))


@given(
    st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), st.floats(-1e3, 1e3, width=32)), min_size=2, max_size=30),
    st.floats(-1e6, 1e6, width=32),
    st.integers(1, 5),
)
def test_rmse_and_r2_are_those_of_all_rows_at_once(pairs: list[tuple[float, float]], shift: float, size: int) -> None:
    """However the rows are cut into blocks, and wherever the numbers lie."""
    truth = np.array([one + shift for one, _ in pairs])
    guess = np.array([other + shift for _, other in pairs], dtype=np.float32)
    score = Deviation("t")
    for start in range(0, len(pairs), size):
        score.add(rows(list(truth[start : start + size])), numbers(list(guess[start : start + size])))
    _, rmse, _, r2, *_ = score.summary().replace(",", "").split()
    assert float(rmse) == pytest.approx(root_mean_squared_error(truth, guess.astype(np.float64)), rel=1e-5)
    if np.ptp(truth) > 1e-3:
        assert float(r2) == pytest.approx(r2_score(truth, guess.astype(np.float64)), rel=1e-6, abs=1e-4)


def test_the_share_between_the_bounds_is_told() -> None:
    """Over all blocks; a row without a true value counts nowhere, and without bounds nothing is said."""
    score = score_for(ModelManifest(task=TASK_REGRESSION), "t")
    for truth in ([1.0, 5.0], [None, 2.0, 0.0]):
        ones = np.ones((len(truth), 1), np.float32)
        score.add(rows(list(truth)), Prediction("m", 1, {"y": ones, "lower": 0 * ones, "upper": 2 * ones}, None, 0, 0))
    assert ", 0.7500 between the bounds (4 rows, 1 without a true value left out)" in score.summary()
    plain = score_for(ModelManifest(task=TASK_REGRESSION), "t")
    plain.add(rows([1.0, 5.0]), numbers([1.0, 2.0]))
    assert "bounds" not in plain.summary()

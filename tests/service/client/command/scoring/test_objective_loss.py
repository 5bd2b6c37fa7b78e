"""The loss of the objective comes first in a score, against scikit-learn and SciPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import huber
from sklearn.metrics import mean_absolute_error, mean_gamma_deviance, mean_poisson_deviance, root_mean_squared_error

from kan_api.metric_names import shown_name
from kan_api.v1.manifest_pb2 import TASK_REGRESSION, ModelManifest, Objective
from service.client.answers import Prediction
from service.client.command.scoring.score import score_for
from service.client.encoding.table_rows import TableRows
from training.data.objective.loss_function import LossFunction
from training.publishing.metrics import scores
from training.recipe.sections import TaskSection

Compare = Callable[[Any, Any], float]

LOSSES: dict[str, tuple[Objective, Compare]] = {
    "MAE": (Objective(loss="mae"), mean_absolute_error),
    # Half of a square near 0 is SciPy's, a square is ours.
    "huber loss": (Objective(loss="huber", huber_delta=0.5), lambda t, a: float(2 * huber(0.5, a - t).mean())),
    "poisson deviance": (Objective(loss="poisson"), mean_poisson_deviance),
    "gamma deviance": (Objective(loss="gamma"), mean_gamma_deviance),
    "log RMSE": (
        Objective(loss="squared_error", target_scale="log"),
        lambda t, a: float(root_mean_squared_error(np.log(t), np.log(a))),
    ),
}


def summary(objective: Objective, truth: list[object], answers: list[float], size: int = 20) -> str:
    """The score of answers to rows in blocks, as the command prints it."""
    score = score_for(ModelManifest(task=TASK_REGRESSION, objective=objective), "t")
    for start in range(0, len(truth), size):
        cells = truth[start : start + size]
        values = np.array(answers[start : start + size], dtype=np.float32).reshape(-1, 1)
        table = TableRows({"t": cells}, len(cells), lambda row: f"row {row + 1}")
        score.add(table, Prediction("m", 1, {"y": values}, None, 0.0, 0.0))
    return score.summary()


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_that_the_model_was_fitted_to_comes_first(name: str) -> None:
    """Over all blocks, of the rows with a true value; RMSE and R² follow."""
    objective, compare = LOSSES[name]
    random = np.random.default_rng(0)
    truth, answers = random.gamma(2.0, size=50) + 0.1, (random.gamma(2.0, size=50) + 0.1).astype(np.float32)
    said = summary(objective, [*truth, ""], [*answers.tolist(), 1.0])
    assert said.startswith(f"{name} ")
    shown, rest = said.removeprefix(f"{name} ").split(", ", 1)
    assert float(shown) == pytest.approx(compare(truth, answers.astype(np.float64)), rel=1e-5)
    assert rest.startswith("RMSE ")
    assert rest.endswith("(50 rows, 1 without a true value left out)")


@pytest.mark.parametrize("name", LOSSES)
def test_name_and_value_are_those_of_a_metric_of_the_manifest(name: str) -> None:
    """What kan-train writes for the same rows, shown as `kan-train` and `kan-client` show it."""
    objective, _ = LOSSES[name]
    random = np.random.default_rng(1)
    truth, answers = (random.gamma(2.0, size=(50, 1)).astype(np.float32).astype(np.float64) + 0.5 for _ in range(2))
    recipe = TaskSection.model_validate(
        {
            "kind": "regression",
            "objective": objective.loss,
            "target_scale": objective.target_scale or "linear",
            "huber_delta": objective.huber_delta or None,
        }
    )
    found = scores(LossFunction.of(recipe), truth, answers, target_scale=recipe.target_scale)
    (value,) = (value for metric, value in found.items() if shown_name(metric) == name)
    shown = summary(objective, truth[:, 0].tolist(), answers[:, 0].tolist()).removeprefix(f"{name} ").split(", ")[0]
    assert float(shown) == pytest.approx(value, rel=1e-5)


def test_huber_on_a_log_scale_shows_log_rmse() -> None:
    """Its delta is of logarithms: twice the truth is the logarithm of 2, whatever the unit. Of mae MAE is shown."""
    said = summary(Objective(loss="huber", huber_delta=0.5, target_scale="log"), [1.0, 100.0], [2.0, 200.0])
    assert said.startswith(f"log RMSE {np.log(2):.6g}, RMSE ")
    assert summary(Objective(loss="mae", target_scale="log"), [1.0, 100.0], [2.0, 200.0]).startswith("MAE 50.5, RMSE ")


def test_squared_error_is_shown_as_before() -> None:
    """Also of a manifest that does not name its loss."""
    for objective in (Objective(), Objective(loss="squared_error", target_scale="linear")):
        assert summary(objective, [1.0, 2.0], [1.0, 2.0]) == "RMSE 0, R² 1.0000 (2 rows)"


def test_a_count_of_zero_has_a_deviance() -> None:
    """As scikit-learn says; an answer that float32 rounded to 0 is finite too."""
    assert summary(Objective(loss="poisson"), [0.0, 2.0], [0.5, 2.0]).startswith("poisson deviance 0.5, ")
    assert "inf" not in summary(Objective(loss="poisson"), [0.0, 2.0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("name", "cell", "wanted"),
    [
        ("poisson deviance", -1.0, "1 true value is not 0 or more"),
        ("gamma deviance", 0.0, "1 true value is not above 0"),
        ("log RMSE", 0.0, "1 true value is not above 0"),
    ],
)
def test_a_true_value_that_the_loss_does_not_allow_is_said(name: str, cell: float, wanted: str) -> None:
    """No warning and no NaN; RMSE and R² are of all rows."""
    said = summary(LOSSES[name][0], [cell, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert said.startswith(f"{name} undefined ({wanted}), RMSE ")
    assert said.endswith("(3 rows)")


def test_an_infinite_answer_gives_no_warning() -> None:
    """The loss is infinite or NaN, and RMSE infinite."""
    for name, (objective, _) in LOSSES.items():
        shown, rest = summary(objective, [1.0, 2.0], [1.0, float("inf")]).removeprefix(f"{name} ").split(", ", 1)
        assert not np.isfinite(float(shown))
        assert rest.startswith("RMSE inf, ")


def test_no_row_with_a_true_value_is_said() -> None:
    """No division by zero."""
    assert summary(Objective(loss="mae"), [""], [1.0]) == 'MAE unknown: no row has a value in column "t"'

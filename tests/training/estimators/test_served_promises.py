"""The promises of an exported estimator, in the answers of a server: monotone columns keep their order, bounds hold."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from service.client import Client
from tests.kit.server.kan_serve import serving
from training import KANClassifier, KANRegressor

UNTIMED: dict[str, Any] = {"lowering": {"tune_for": []}}
PROMISED = {"age": "up", "height": "down"}
TRAINED, NEW = 800, 1600
# What float32 leaves of equal answers, beside their range.
ROUNDING = 1e-5


def noisy(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two columns, and a target whose noise is four times as large at one end of the second as at the other."""
    random = np.random.default_rng(seed)
    x = random.uniform(-1, 1, (rows, 2))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] + random.normal(size=rows) * np.exp(0.7 * x[:, 1]) / 5


@pytest.fixture(scope="module")
def bounded() -> KANRegressor:
    """Fitted with bounds for 90 % of new rows."""
    plan: dict[str, Any] = {"hidden": (3,), "grids": (3,), "steps": 40, "batch_rows": 64, "members": 4}
    model = KANRegressor(**plan, search=False, learning_rate=0.05, coverage=0.9, recipe=UNTIMED)
    return model.fit(*noisy(TRAINED, seed=0))


@pytest.fixture(scope="module")
def client(
    people: pd.DataFrame,
    inputs: pd.DataFrame,
    quick: dict[str, Any],
    bounded: KANRegressor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Client]:
    """Of a kan-serve of three estimators: a regressor and a classifier of monotone columns, and one with bounds.

    What is paid waves with age and rises with height, against both promises.
    """
    folder = tmp_path_factory.mktemp("promises")
    fitted = {
        "promised": KANRegressor(**quick, recipe=UNTIMED, monotone=PROMISED).fit(inputs, people["paid"]),
        "classes": KANClassifier(**quick, recipe=UNTIMED, monotone=PROMISED).fit(inputs, people["kind"]),
        "bounded": bounded,
    }
    for name, model in fitted.items():
        model.export(folder / "models" / name)
    with serving(folder / "models", log=folder / "log") as server, Client(server.grpc, 60) as connected:
        yield connected


def largest_step_back(answer: Callable[[pd.DataFrame], np.ndarray], inputs: pd.DataFrame, column: str) -> float:
    """How far an answer steps against the promise while one column rises, as a share of the range of answers.

    The column takes 41 values from far below the training rows to far above them; the other cells of 30 rows, gaps and
    an unseen word among them, stay.
    """
    others = inputs.iloc[:30].assign(town=["Rome", *inputs["town"][1:30]])
    low, high = inputs[column].min(), inputs[column].max()
    values = np.linspace(low - (high - low), high + (high - low), 41)
    asked = others.loc[others.index.repeat(len(values))].assign(**{column: np.tile(values, len(others))})
    assert asked.drop(columns=column).isna().to_numpy().any()
    answers = answer(asked).astype(np.float64)
    steps = np.diff(answers.reshape(len(others), len(values)), axis=1)
    return float((steps if PROMISED[column] == "down" else -steps).max() / np.ptp(answers))


@pytest.mark.parametrize("column", PROMISED)
@pytest.mark.parametrize("model", ["promised", "classes"])
def test_served_answers_keep_the_order_of_monotone_columns(
    client: Client, inputs: pd.DataFrame, model: str, column: str
) -> None:
    """Inside and outside of the training rows, but for rounding. Of two classes it is the second's probability."""

    def answer(rows: pd.DataFrame) -> np.ndarray:
        cells = rows.astype(object).where(rows.notna(), None)
        records = [{str(name): cell for name, cell in row.items()} for row in cells.to_dict("records")]
        return client.predict(model, records).values[:, -1]

    assert largest_step_back(answer, inputs, column) <= ROUNDING


@pytest.mark.parametrize("column", PROMISED)
def test_the_rows_do_not_keep_the_order_by_themselves(
    people: pd.DataFrame, inputs: pd.DataFrame, quick: dict[str, Any], column: str
) -> None:
    """Without the promise the same fit steps back by more than a thousand times the rounding."""
    free = KANRegressor(**quick).fit(inputs, people["paid"])
    assert largest_step_back(free.predict, inputs, column) > 1000 * ROUNDING


def test_served_bounds_hold_the_share_that_was_promised(client: Client, bounded: KANRegressor) -> None:
    """Of 1,600 new rows, within 4 standard errors of both samples; they are the bounds of `predict_interval`."""
    x, y = noisy(NEW, seed=1)
    prediction = client.predict("bounded", x)
    assert prediction.bounds is not None
    lower, upper = (each[:, 0] for each in prediction.bounds)
    inside = np.mean((lower <= y) & (y <= upper))
    assert abs(inside - 0.9) < 4 * np.sqrt(0.09 / TRAINED + 0.09 / NEW)
    assert ((lower < prediction.values[:, 0]) & (prediction.values[:, 0] < upper)).all()
    for served, ours in zip((lower, upper), bounded.predict_interval(x), strict=True):
        np.testing.assert_allclose(served, ours, atol=1e-4)

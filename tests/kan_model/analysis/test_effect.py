"""Effects against scikit-learn's partial dependence and individual conditional expectation."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.inspection import partial_dependence

import kan_model
from kan_model import KAN, effect
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax

Numbers = NDArray[np.float64]

INPUTS = InputTransform(
    center=np.array([10, -3, 0.5], np.float32),
    scale=np.array([0.2, 0.5, 1], np.float32),
    imputed=np.array([11, np.nan, np.nan], np.float32),
)


class Wrapped(BaseEstimator):  # type: ignore[misc]
    """The network as scikit-learn sees an estimator."""

    def __init__(self, kan: KAN, outputs: OutputTransform | None) -> None:
        self.kan, self.outputs = kan, outputs
        self.fitted_ = True

    def fit(self, x: Numbers, y: None = None) -> "Wrapped":
        """Nothing is left to fit."""
        return self

    def answer(self, x: Numbers) -> Numbers:
        """The served answers."""
        with torch.no_grad():
            y = self.kan(INPUTS(torch.from_numpy(np.asarray(x))))
            answers: Numbers = (y if self.outputs is None else self.outputs(y)).numpy()
        return answers


class Regressor(RegressorMixin, Wrapped):  # type: ignore[misc]
    """Of numbers."""

    def predict(self, x: Numbers) -> Numbers:
        """The first output."""
        return self.answer(x)[:, 0]


class Classifier(ClassifierMixin, Wrapped):  # type: ignore[misc]
    """Of classes."""

    classes_ = np.arange(3)

    def predict_proba(self, x: Numbers) -> Numbers:
        """Probabilities."""
        return self.answer(x)

    def predict(self, x: Numbers) -> Numbers:
        """The class."""
        answers: Numbers = self.answer(x).argmax(axis=1)
        return answers


def rows(count: int = 60) -> Numbers:
    """Raw rows: numbers, numbers, a column of 0 and 1."""
    source = np.random.default_rng(0)
    return np.column_stack([source.normal(10, 5, count), source.normal(-3, 2, count), source.integers(0, 2, count)])


def close(ours: Numbers, theirs: Numbers) -> bool:
    """Equal up to rounding in float64."""
    return ours.shape == theirs.shape and bool(np.allclose(ours, theirs, rtol=1e-11, atol=1e-12))


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("scale", ["none", "affine", "log"])
def test_a_regression_as_scikit_learn_has_it(make_kan: Callable[..., KAN], column: int, scale: str) -> None:
    """Mean and single rows are those of partial_dependence(kind="both"), in raw units of the answer."""
    outputs = {
        "none": None,
        "affine": Affine(np.array([300], np.float32), np.array([40], np.float32)),
        "log": Exponential(np.array([2], np.float32), np.array([0.5], np.float32)),
    }[scale]
    kan, x = make_kan((3, 4, 1)), rows()
    found = effect(kan, x, column, inputs=INPUTS, outputs=outputs, lines=len(x), points=25)
    theirs = partial_dependence(
        Regressor(kan, outputs), x, [column], kind="both", method="brute", percentiles=(0, 1), grid_resolution=25
    )
    assert close(found.values[:, 0], theirs["grid_values"][0])
    assert close(found.mean[:, 0], theirs["average"][0])
    assert close(found.single[:, :, 0], theirs["individual"][0])
    assert found.rows.tolist() == list(range(len(x)))


def test_probabilities_as_scikit_learn_has_them(make_kan: Callable[..., KAN]) -> None:
    """With a softmax the answers are the probabilities of all classes, which add up to 1."""
    kan, x = make_kan((3, 4, 3)), rows()
    found = effect(kan, x, 1, inputs=INPUTS, outputs=Softmax(), points=25)
    theirs = partial_dependence(
        Classifier(kan, Softmax()), x, [1], method="brute", percentiles=(0, 1), grid_resolution=25
    )
    assert close(found.mean.T, theirs["average"])
    assert np.allclose(found.mean.sum(axis=1), 1)


def test_a_column_of_several_features(make_kan: Callable[..., KAN]) -> None:
    """The features of one column move together: each point is the mean answer where all rows have these values."""
    kan, x = make_kan((3, 4, 2)), rows()
    x[:, 1] = 1 - x[:, 2]
    found = effect(kan, x, [1, 2], inputs=INPUTS)
    assert found.values.tolist() == [[0, 1], [1, 0]]
    for point, mean in zip(found.values, found.mean, strict=True):
        changed = x.copy()
        changed[:, 1:] = point
        assert close(mean, Wrapped(kan, None).answer(changed).mean(axis=0))
    assert found.counts.tolist() == [int(x[:, 2].sum()), int(x[:, 1].sum())]
    assert found.edges.size == 0


def test_the_density_is_numpys(make_kan: Callable[..., KAN]) -> None:
    """The histogram counts the rows of the column, gaps left out."""
    x = rows()
    x[:7, 0] = np.nan
    found = effect(make_kan((3, 1)), x, 0, inputs=INPUTS)
    counts, edges = np.histogram(x[7:, 0], bins=20)
    assert found.counts.tolist() == counts.tolist()
    assert found.edges.tolist() == edges.tolist()
    assert found.counts.sum() == len(x) - 7


def test_rows_without_an_answer_are_left_out(make_kan: Callable[..., KAN]) -> None:
    """A row whose gap nothing fills has no answer; the mean is that of the others, and NaN where there is none."""
    kan, x = make_kan((3, 1)), rows()
    x[0, 1] = np.nan
    found = effect(kan, x, 0, inputs=INPUTS, lines=1)
    assert np.isnan(found.single).all()
    assert close(found.mean, effect(kan, x[1:], 0, inputs=INPUTS, values=found.values[:, 0]).mean)
    assert np.isnan(effect(kan, x[:1], 0, inputs=INPUTS).mean).all()


@pytest.mark.parametrize("lines", [0, 3, 1000])
def test_single_rows_are_bounded(make_kan: Callable[..., KAN], lines: int) -> None:
    """At most so many, evenly chosen, first and last among them."""
    found = effect(make_kan((3, 2)), rows(), 0, inputs=INPUTS, lines=lines, points=5)
    assert found.single.shape == (min(lines, 60), 5, 2)
    assert lines != 3 or found.rows.tolist() == [0, 29, 59]


@pytest.mark.parametrize("value", [5.0, 3e38])
def test_a_constant_column_is_one_point(make_kan: Callable[..., KAN], value: float) -> None:
    """One value, one point, one bin with all rows."""
    x = rows()
    x[:, 0] = value
    found = effect(make_kan((3, 2)), x, 0, inputs=INPUTS)
    assert found.values.tolist() == [[value]]
    assert found.counts.tolist() == [60]
    assert found.edges.tolist() == [value, value]


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        (3, {}, "0 to 2"),
        (-1, {}, "0 to 2"),
        ([0, 0], {}, "different places"),
        ([], {}, "different places"),
        (0, {"points": 1}, "2 or more"),
        (0, {"lines": -1}, "0 or more"),
        (0, {"values": [[1, 2]]}, r"wanted \[1 or more points, 1\]"),
        ([0, 1], {"values": [1, 2]}, r"wanted \[1 or more points, 2\]"),
    ],
)
def test_what_it_refuses(
    make_kan: Callable[..., KAN], column: int | Sequence[int], options: dict[str, Any], message: str
) -> None:
    """The message says what was wanted."""
    with pytest.raises(ValueError, match=message):
        effect(make_kan((3, 2)), rows(), column, inputs=INPUTS, **options)


def test_rows_that_it_refuses(make_kan: Callable[..., KAN]) -> None:
    """No rows, rows of another width, and a column that no row holds."""
    kan, x = make_kan((3, 2)), rows()
    for bad in (x[:0], x[:, :2], x[0]):
        with pytest.raises(ValueError, match="rows have shape"):
            effect(kan, bad, 0)
    x[:, 0] = np.nan
    with pytest.raises(ValueError, match="no row holds"):
        effect(kan, x, 0)


def test_it_is_public() -> None:
    """``kan_model.effect`` is the function, not its module."""
    assert kan_model.effect is effect

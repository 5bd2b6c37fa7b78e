"""Charts show the numbers that they are given."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.metrics import confusion_matrix

from tests.kit.pictures import texts_cut_off, texts_on_each_other
from training.fitting.record import Record
from training.report.charts import calibration_curve, confusion, coverage_curve, predicted_against_true, staircase
from training.report.class_scores import Calibration


def _texts(figure: Figure) -> list[str]:
    figure.savefig(io.BytesIO(), format="png")
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_the_staircase_shows_every_look() -> None:
    """The chart has both loss curves, the names of the grids, and a mark at the lowest validation loss."""
    history = [Record(3, i, 1 / (i + 1), 1.1 / (i + 1), 0.5) for i in range(4)]
    history += [Record(5, i + 1, 0.1 / (i + 1), 0.2 + i, 0.5) for i in range(3)]
    figure = staircase(history)
    train, validation, kept = figure.axes[0].get_lines()
    np.testing.assert_allclose(np.asarray(train.get_ydata()), [record.train_loss for record in history])
    np.testing.assert_allclose(np.asarray(validation.get_ydata()), [record.validation_loss for record in history])
    assert np.asarray(kept.get_xdata()).tolist() == [4]
    assert {"G = 3", "G = 5"} <= set(_texts(figure))
    assert figure.axes[0].get_yscale() == "log"


def test_what_is_kept_after_pruning_is_the_pruned_network() -> None:
    """After pruning the mark is in the last fit, although the larger network before was better."""
    history = [Record(3, i, 1.0, loss, 0.5) for i, loss in enumerate((0.9, 0.1, 0.2), start=1)]
    history += [Record(3, i, 1.0, loss, 0.5) for i, loss in enumerate((0.8, 0.3, 0.4))]
    figure = staircase(history)
    kept = next(line for line in figure.axes[0].get_lines() if line.get_label() == "kept")
    assert np.asarray(kept.get_xdata()).tolist() == [4]
    assert "pruned, fitted again" in _texts(figure)


def test_a_loss_of_zero_is_drawn() -> None:
    """A loss of zero is drawn on a linear axis, because a logarithmic one cannot show it."""
    assert staircase([Record(3, 1, 0.0, 0.0, 1.0)]).axes[0].get_yscale() == "linear"


def test_the_confusion_matrix_is_scikit_learns() -> None:
    """Rows are the truth, columns the answers; zeros are left blank."""
    random = np.random.default_rng(0)
    truth, answers = random.integers(0, 4, 300), random.integers(0, 3, 300)
    figure = confusion(["a", "b $x", "c", "d"], truth, answers)
    wanted = confusion_matrix(truth, answers, labels=range(4))
    np.testing.assert_array_equal(figure.axes[0].get_images()[0].get_array(), wanted)
    texts = _texts(figure)
    assert "b $x" in texts
    assert all(str(count) in texts for count in wanted[wanted > 0])
    assert "0" not in texts


def test_of_many_classes_those_with_most_mistakes_are_shown() -> None:
    """Twenty of them, in their own order, and how many more there are."""
    truth = np.arange(50)
    answers = np.where(truth % 5 == 0, (truth + 5) % 50, truth)
    figure = confusion([f"class {number}" for number in range(50)], truth, answers)
    texts = _texts(figure)
    assert {f"class {number}" for number in range(0, 50, 5)} <= set(texts)
    assert any("30 more are not shown" in text for text in texts)


@pytest.mark.parametrize("is_log", [False, True])
def test_answers_against_the_truth(is_log: bool) -> None:
    """Each point, the constant answer, and each row in the histogram of differences."""
    random = np.random.default_rng(0)
    truth = random.normal(size=200)
    truth = np.exp(truth) if is_log else truth
    answers = truth * random.uniform(0.5, 2, size=200)
    left, right = predicted_against_true("m/s $", truth, answers, 0.5, is_log=is_log).axes
    points, _, constant = left.get_lines()
    np.testing.assert_allclose(np.asarray(points.get_xdata()), truth)
    np.testing.assert_allclose(np.asarray(points.get_ydata()), answers)
    assert set(np.asarray(constant.get_ydata())) == {0.5}
    assert left.get_xscale() == ("log" if is_log else "linear")
    assert right.patches[0].get_data().values.sum() == 200  # type: ignore[attr-defined]


def test_a_calibration_curve_shows_what_it_is_given() -> None:
    """The points of the curve, and what the class frequencies give."""
    found = Calibration(np.array([0.1, 0.8]), np.array([0.2, 0.7]), np.array([10, 12]), 0.1)
    upper, lower = calibration_curve(found, "probability of $a$", 0.3).axes
    _, curve, alone = upper.get_lines()
    assert np.asarray(curve.get_xdata()).tolist() == [0.1, 0.8]
    assert np.asarray(curve.get_ydata()).tolist() == [0.2, 0.7]
    assert np.asarray(alone.get_xydata()).tolist() == [[0.3, 0.3]]
    assert [bar.get_height() for bar in lower.patches] == [10, 12]  # type: ignore[attr-defined]


LONG = "the third class of all classes of the table"


@pytest.mark.parametrize("classes", [2, 3, 8, 40])
@pytest.mark.parametrize("name", ["c", LONG])
def test_no_class_is_cut_off(classes: int, name: str) -> None:
    """Short names and long ones, of few classes and of many."""
    truth = np.arange(5 * classes) % classes
    answers = np.where(np.arange(len(truth)) % 3, truth, (truth + 1) % classes)
    figure = confusion([f"{name} {number}" for number in range(classes)], truth, answers)
    assert texts_cut_off(figure) == []
    assert texts_on_each_other(figure) == []


@pytest.mark.parametrize(("scale", "is_log"), [(1e-9, False), (1.0, False), (3e5, False), (1.0, True), (1e-9, True)])
def test_no_number_of_an_axis_is_cut_off(scale: float, is_log: bool) -> None:
    """Small and large numbers on both kinds of axes, and a target with a long name."""
    random = np.random.default_rng(0)
    truth = scale * (np.exp(random.normal(size=200)) if is_log else random.normal(size=200))
    answers = truth * random.uniform(0.5, 2, size=200)
    history = [Record(3, i, scale / (i + 1), 1.1 * scale / (i + 1), 0.5) for i in range(4)]
    levels = np.linspace(0, 1, 5)
    figures = (
        predicted_against_true(LONG, truth, answers, float(truth.mean()), is_log=is_log),
        staircase(history),
        coverage_curve([LONG, "y"], levels, np.stack([levels, levels**2], axis=1)),
    )
    for figure in figures:
        assert texts_cut_off(figure) == []
        assert texts_on_each_other(figure) == []


def test_what_cannot_be_drawn_is_refused() -> None:
    """The error says what came and what was wanted."""
    none, one, two = np.zeros(0), np.zeros(1), np.zeros(2)
    with pytest.raises(ValueError, match="history is empty"):
        staircase([])
    with pytest.raises(ValueError, match="1 or more"):
        predicted_against_true("y", none, none)
    with pytest.raises(ValueError, match=r"\(1,\), .*\(2,\)"):
        predicted_against_true("y", one, two)
    with pytest.raises(ValueError, match="NaN or an infinity"):
        predicted_against_true("y", two, np.array([0, np.nan]))
    with pytest.raises(ValueError, match="numbered up to 2"):
        confusion(["a", "b"], np.array([0, 1]), np.array([0, 2]))

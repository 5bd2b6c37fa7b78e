"""The first sentence of a report says what the numbers say."""

import numpy as np
import pytest

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, ModelManifest, Objective, Task
from training.report.judged import Judged
from training.report.sentence import first_sentence


def classes(names: list[str], truth: list[int], answered: list[int], trivial: int | None = 0) -> str:
    """The sentence on these answers."""
    eye = np.eye(len(names))
    constant = None if trivial is None else np.tile(eye[trivial], (len(truth), 1))
    judged = Judged("test rows", np.array(truth), eye[answered], constant)
    return first_sentence(ModelManifest(task=TASK_CLASSIFICATION, classes=names), judged)


def test_two_classes() -> None:
    """What share of the rarer class is missed, and how often the majority alone would be right."""
    truth, answered = [0] * 63 + [1] * 37, [0] * 60 + [1] * 3 + [0] * 5 + [1] * 32
    assert classes(["benign", "malignant"], truth, answered) == (
        "Misses 14 % of malignant (5 of 37) and is right for 92.0 % of 100 test rows; always answering benign would be "
        "right for 63.0 %."
    )


def test_no_better_than_a_constant() -> None:
    """A model that the majority beats is not praised."""
    said = classes(["no", "yes"], [0, 0, 0, 1], [0, 0, 1, 0])
    assert said.startswith("Misses 100 % of yes (1 of 1) and is no better than a constant, right for 50.0 % of 4 test")


def test_more_classes() -> None:
    """The class that is missed most; all right; the constant not known."""
    assert classes(list("abc"), [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 0]) == (
        "Right for 83.3 % of 6 test rows, and weakest on c, of which it misses 50 % (1 of 2); always answering a would "
        "be right for 33.3 %."
    )
    assert classes(list("abc"), [0, 1, 2], [0, 1, 2], None) == "Right for all 3 test rows."


def test_weighted_shares_stand_without_counts() -> None:
    """One missed row of two is 90 % where it weighs nine times as much: "1 of 2" would contradict it."""
    truth, weights = np.array([0, 0, 1, 1]), np.array([1.0, 1, 9, 1])
    manifest = ModelManifest(task=TASK_CLASSIFICATION, classes=["benign", "malignant"])
    said = first_sentence(manifest, Judged("test rows", truth, np.eye(2)[[0, 0, 0, 1]], weights=weights))
    assert said == "Misses 90 % of malignant and is right for 25.0 % of 4 test rows."
    manifest = ModelManifest(task=TASK_CLASSIFICATION, classes=list("abc"))
    said = first_sentence(manifest, Judged("test rows", truth, np.eye(3)[[0, 0, 0, 1]], weights=weights))
    assert said == "Right for 25.0 % of 4 test rows, and weakest on b, of which it misses 90 %."


def test_numbers_no_better_than_a_constant() -> None:
    """A regression that the mean beats is not praised; of several targets those are named that the mean beats."""
    truth = np.array([[1.0], [3.0]])
    manifest = ModelManifest(task=TASK_REGRESSION, target="price")
    said = first_sentence(manifest, Judged("test rows", truth, truth + 4, np.full((2, 1), 2.0)))
    assert said == (
        "The answers for price to 2 test rows are off by 4 on average, no better than a constant; the mean alone would "
        "be off by 1."
    )
    manifest = ModelManifest(task=TASK_REGRESSION, targets=["a", "b"])
    both = np.tile(truth, 2)
    said = first_sentence(manifest, Judged("test rows", both, both + np.array([0, 4]), np.full((2, 2), 2.0)))
    assert "on average, no better than a constant for b; the mean" in said


def test_numbers() -> None:
    """The mean error beside that of the mean, in the unit of the target; with weights the weighted one."""
    truth = np.array([[1.0], [3.0]])
    manifest = ModelManifest(task=TASK_REGRESSION, target="price")
    judged = Judged("test rows", truth, truth + np.array([[0.1], [-0.3]]), np.full((2, 1), 2.0))
    assert first_sentence(manifest, judged) == (
        "The answers for price to 2 test rows are off by 0.2 on average; the mean alone would be off by 1."
    )
    judged = Judged("test rows", truth, truth + np.array([[0.1], [-0.3]]), weights=np.array([3.0, 1.0]))
    assert first_sentence(manifest, judged) == "The answers for price to 2 test rows are off by 0.15 on average."


def test_numbers_on_a_log_scale() -> None:
    """Shares of the truth."""
    manifest = ModelManifest(task=TASK_REGRESSION, target="price", objective=Objective(target_scale="log"))
    truth = np.array([[10.0], [1000.0]])
    judged = Judged("test rows", truth, truth * np.array([[1.1], [0.7]]), np.full((2, 1), 100.0))
    assert first_sentence(manifest, judged) == (
        "The answers for price to 2 test rows are off by 20.0 % on average; one number alone would be off by 495.0 %."
    )


def test_several_targets_and_a_quantile() -> None:
    """Three targets are named; a quantile says how many rows lie below it."""
    truth = np.zeros((2, 5))
    manifest = ModelManifest(task=TASK_REGRESSION, targets=list("abcde"))
    said = first_sentence(manifest, Judged("test rows", truth, truth + np.array([1.0, 2000, 3, 4, 5])))
    assert "off by 1 for a, 2,000 for b, 3 for c and 2 more targets on average" in said
    quantile = ModelManifest(task=TASK_REGRESSION, target="y", objective=Objective(loss="quantile", quantile=0.9))
    said = first_sentence(quantile, Judged("test rows", np.array([[1.0], [2.0]]), np.array([[1.0], [1.5]])))
    assert "50.0 % of the true values are at or below them (wanted: 90 %)" in said


@pytest.mark.parametrize("task", [TASK_CLASSIFICATION, TASK_REGRESSION])
def test_without_rows(task: Task) -> None:
    """Nothing is claimed."""
    assert "not known" in first_sentence(ModelManifest(task=task), None)

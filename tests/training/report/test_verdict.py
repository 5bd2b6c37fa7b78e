"""The verdict on a version, from its metrics."""

import pytest

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, DataSummary, ModelManifest, Objective
from training.report.verdict import baseline_name, judge_version


def version(metrics: dict[str, float], *, classes: bool = False, rows: int = 1000) -> ModelManifest:
    """A manifest with these metrics and with so many rows in each part."""
    return ModelManifest(
        task=TASK_CLASSIFICATION if classes else TASK_REGRESSION,
        metrics=metrics,
        data=DataSummary(train_rows=rows, validation_rows=rows, test_rows=rows),
    )


GOOD = {"test_r2": 0.84, "test_rmse": 0.4, "validation_r2": 0.83, "train_r2": 0.88}


def test_each_baseline_has_its_score_beside_the_networks() -> None:
    """In one order, each under a name for people; a rounded zero has no sign."""
    beside = {"baseline_boosted_test_r2": 0.8701, "baseline_linear_test_r2": 0.66, "baseline_trivial_test_r2": -0.0001}
    assert judge_version(version(GOOD | beside)) == (
        "R² 0.840 on 1000 test rows (the mean alone: 0.000, linear: 0.660, boosted trees: 0.870)",
        [],
    )
    assert judge_version(version(GOOD | {"baseline_test_r2": 0.9}))[0] == "R² 0.840 on 1000 test rows (MLP: 0.900)"
    assert judge_version(version(GOOD))[0] == "R² 0.840 on 1000 test rows"


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        (Objective(), "the mean alone"),
        (Objective(loss="poisson"), "the mean alone"),
        (Objective(loss="squared_error", target_scale="log"), "one number alone"),
        (Objective(loss="mae"), "the median alone"),
        (Objective(loss="quantile", quantile=0.9), "the 0.9 quantile alone"),
        (Objective(loss="huber"), "one number alone"),
    ],
)
def test_the_constant_is_that_of_the_loss(objective: Objective, name: str) -> None:
    """The best constant of absolute errors is no mean."""
    assert baseline_name("trivial", ModelManifest(task=TASK_REGRESSION, objective=objective)) == name


def test_classes_are_judged_by_accuracy_and_log_loss() -> None:
    """The constant answer of a classification is the class frequencies."""
    metrics = {"test_accuracy": 0.95, "test_log_loss": 0.1234}
    beside = {f"baseline_trivial_{name}": value for name, value in (("test_accuracy", 0.5), ("test_log_loss", 0.693))}
    verdict, warnings = judge_version(version(metrics | beside, classes=True))
    assert verdict == "accuracy 0.950, log loss 0.123 on 1000 test rows (the class frequencies alone: 0.500, 0.693)"
    assert warnings == []


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"baseline_linear_test_rmse": 0.4}, "no better than a linear model: RMSE 0.4 against 0.4"),
        ({"baseline_linear_test_rmse": 0.3, "baseline_trivial_test_rmse": 0.4}, "no better than the mean alone"),
        ({"test_r2": -0.1}, "worse than always answering the mean"),
    ],
)
def test_a_simpler_model_that_is_as_good_is_named(metrics: dict[str, float], words: str) -> None:
    """One line: of two the simplest."""
    (warning,) = judge_version(version(GOOD | metrics))[1]
    assert words in warning


def test_overfitting_is_told_where_it_is_more_than_chance() -> None:
    """A score far above that of the validation rows; of few rows the difference must be larger."""
    metrics = GOOD | {"train_r2": 0.99, "validation_r2": 0.8}
    (warning,) = judge_version(version(metrics))[1]
    assert "overfits: R² 0.990 on the training rows, 0.800 on the validation rows" in warning
    assert judge_version(version(metrics, rows=10))[1] == []
    assert judge_version(version(GOOD | {"train_r2": 0.05, "validation_r2": -0.3}))[1] == []
    classes = {"test_accuracy": 0.7, "test_log_loss": 0.6, "train_accuracy": 0.95, "validation_accuracy": 0.7}
    (warning,) = judge_version(version(classes, classes=True))[1]
    assert "overfits: accuracy" in warning


def test_a_mean_of_members_is_no_overfit_for_being_better_than_one_of_them() -> None:
    """Both the mean and single members have to know the training rows better than members know other rows."""
    metrics = GOOD | {"train_r2": 0.6, "validation_r2": 0.3}
    assert judge_version(version(metrics | {"member_train_r2": 0.32}))[1] == []
    assert judge_version(version(metrics | {"train_r2": 0.35, "member_train_r2": 0.55}))[1] == []
    (warning,) = judge_version(version(metrics | {"member_train_r2": 0.55}))[1]
    assert "overfits: R² 0.550 on the training rows, 0.300 on the validation rows" in warning


def test_without_scores_there_is_no_verdict() -> None:
    """As for an imported network without a table."""
    assert judge_version(version({})) == ("", [])


@pytest.mark.parametrize(
    ("ours", "linear", "words"),
    [
        ({"test_deviance_explained": 0.43, "test_r2": -1.0}, {"deviance_explained": 0.08, "rmse": 0.1}, []),
        ({"test_deviance_explained": 0.05}, {"deviance_explained": 0.08}, ["deviance explained 0.05 against 0.08"]),
        ({"test_log_rmse": 0.1}, {"log_rmse": 0.2, "rmse": 0.1}, []),
        ({"test_log_rmse": 0.3}, {"log_rmse": 0.2, "rmse": 9.0}, ["log RMSE 0.3 against 0.2"]),
    ],
)
def test_a_model_is_compared_by_what_it_was_fitted_to(
    ours: dict[str, float], linear: dict[str, float], words: list[str]
) -> None:
    """Another loss than squared error by its D², a log scale by the error of the logarithms; not by RMSE."""
    beside = {f"baseline_linear_test_{name}": value for name, value in linear.items()}
    warnings = judge_version(version({"test_r2": 0.5, "test_rmse": 1.0} | ours | beside))[1]
    assert len(warnings) == len(words)
    assert all(word in warning for word, warning in zip(words, warnings, strict=True))

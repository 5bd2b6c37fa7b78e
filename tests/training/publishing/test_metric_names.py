"""One name of a metric for people."""

from training.publishing.metric_names import shown_name


def test_metrics_are_shown_under_the_names_of_the_field() -> None:
    """As kan-client prints them; a metric without a name of its own is shown as words."""
    assert [shown_name(name) for name in ("r2", "rmse", "mae", "log_loss", "accuracy")] == [
        "R²",
        "RMSE",
        "MAE",
        "log loss",
        "accuracy",
    ]

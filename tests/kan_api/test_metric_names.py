"""One name of a metric for people, and which metrics are the better ones."""

from kan_api.metric_names import is_nearer, shown_name


def test_metrics_are_shown_under_the_names_of_the_field() -> None:
    """As kan-client prints them; a metric without a name of its own is shown as words, and a target's name stays."""
    names = {"r2": "R²", "rmse": "RMSE", "mae": "MAE", "log_loss": "log loss", "unanswered_rows": "unanswered rows"}
    assert {name: shown_name(name) for name in names} == names
    assert shown_name("rmse_of_sales_eur") == "RMSE of sales_eur"


def test_the_log_loss_of_classes_and_the_rmse_of_numbers_decide_which_is_nearer() -> None:
    """Smaller is nearer, equal is not; without one of the two numbers nothing is nearer."""
    assert is_nearer({"test_rmse": 1.0, "test_mae": 9.0}, {"test_rmse": 2.0, "test_mae": 1.0})
    assert not is_nearer({"test_rmse": 2.0}, {"test_rmse": 2.0})
    assert is_nearer({"test_log_loss": 1.0, "test_accuracy": 0.1}, {"test_log_loss": 2.0, "test_accuracy": 0.9})
    assert not is_nearer({"test_rmse": 1.0}, {})
    assert not is_nearer({}, {"test_rmse": 1.0})

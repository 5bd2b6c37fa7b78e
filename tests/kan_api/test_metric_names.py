"""One name of a metric for people."""

from kan_api.metric_names import shown_name


def test_metrics_are_shown_under_the_names_of_the_field() -> None:
    """As kan-client prints them; a metric without a name of its own is shown as words, and a target's name stays."""
    names = {"r2": "R²", "rmse": "RMSE", "mae": "MAE", "log_loss": "log loss", "unanswered_rows": "unanswered rows"}
    assert {name: shown_name(name) for name in names} == names
    assert shown_name("rmse_of_sales_eur") == "RMSE of sales_eur"

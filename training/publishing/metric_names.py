"""How people read the names of metrics: the same way in the terminal, in report.html and in kan-client."""

# The manifest's name of a metric, without the part of the rows in front, and how it is shown.
_SHOWN = {"r2": "R²", "rmse": "RMSE", "mae": "MAE"}


def shown_name(metric: str) -> str:
    """The name for people: "R²" for "r2", "log loss" for "log_loss".

    Args:
        metric: The name in the manifest without the part, such as "rmse" of "test_rmse".
    """
    return _SHOWN.get(metric, metric.replace("_", " "))

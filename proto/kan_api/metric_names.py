"""How people read the names of metrics: the same way in the terminal, in report.html and in kan-client."""

# Words of the manifest's names that are shown otherwise.
_SHOWN = {"r2": "R²", "d2": "D²", "rmse": "RMSE", "mae": "MAE"}


def shown_name(metric: str) -> str:
    """The name for people: "R²" for "r2", "log loss" for "log_loss", "MAE of sales_eur" for "mae_of_sales_eur".

    Args:
        metric: The name in the manifest without the part, such as "rmse" of "test_rmse".
    """
    name, of, target = metric.partition("_of_")
    shown = " ".join(_SHOWN.get(word, word) for word in name.split("_"))
    return f"{shown} of {target}" if of else shown

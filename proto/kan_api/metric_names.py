"""How people read metrics and their names: the same way in the terminal, in report.html and in kan-client."""

from collections.abc import Mapping

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


def is_nearer(ours: Mapping[str, float], theirs: Mapping[str, float]) -> bool:
    """Whether our answers to the test rows are nearer to the targets than theirs.

    Example: a formula is fitted to the answers of a network. If it is nearer to the targets than the network, a low R²
    against the network says nothing against it.

    Args:
        ours: Metrics under their names in the manifest. The log loss decides, or the RMSE if there is none.
        theirs: Of the same rows.
    """
    name = "test_log_loss" if "test_log_loss" in ours else "test_rmse"
    return name in ours and name in theirs and ours[name] < theirs[name]

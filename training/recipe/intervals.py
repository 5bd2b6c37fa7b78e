"""What a recipe with [intervals] needs."""

from collections.abc import Sequence

from training.errors import quoted
from training.recipe.fit_sections import (
    EnsembleSection,
    FitSection,
    PruneSection,
    SearchSection,
    SymbolicSection,
)
from training.recipe.sections import DataSection, TaskSection

# `kan-client predict` names the columns of bounds by their target and these.
_BOUNDS = ("lower", "upper")


def check_intervals(
    task: TaskSection,
    data: DataSection,
    fit: FitSection,
    ensemble: EnsembleSection | None,
    search: SearchSection | None,
    later: SymbolicSection | PruneSection | None,
) -> None:
    """Refuse sections that leave no row to make intervals from, or no answer to put them around.

    Args:
        task: Says what is answered.
        data: Names the targets.
        fit: Says on which grids.
        ensemble: Gives each row a member that never saw it.
        search: Its candidates may change the grids.
        later: A step that changes the network after its members were judged.

    Raises:
        ValueError: in words for people.
    """
    if task.kind != "regression":
        raise ValueError('[intervals]: only with [task] kind = "regression"; of classes see [calibration]')
    if task.objective == "quantile":
        raise ValueError(
            '[intervals]: not with [task] objective = "quantile", whose answer is not the middle of what to expect; '
            'wanted objective = "squared_error" or "mae"'
        )
    if taken := sorted({f"{name}_{bound}" for name in data.targets for bound in _BOUNDS} & set(data.targets)):
        raise ValueError(
            f"[data] target names {quoted(taken[0])}, and [intervals] gives a bound of "
            f"{quoted(taken[0].rpartition('_')[0])} this name; wanted another name for one of these targets"
        )
    if later is not None:
        name = "symbolic" if isinstance(later, SymbolicSection) else "prune"
        of_estimator = " (of an estimator: coverage or symbolic=True)" if name == "symbolic" else ""
        raise ValueError(
            f"[intervals]: not with [{name}], which changes the network after its members were judged; leave one out"
            f"{of_estimator}"
        )
    grids: list[Sequence[int]] = [
        fit.grids,
        *(each.grids for each in (search.candidates if search else ()) if each.grids),
    ]
    if longest := next((each for each in grids if len(each) > 1), None):
        raise ValueError(
            f"[intervals]: not with [fit] grids = {list(longest)}: all rows choose where the second grid begins; "
            f"wanted one grid, e.g. [{longest[-1]}]"
        )
    if ensemble is None:
        raise ValueError(
            "[intervals] needs [ensemble]: intervals are made from the answers of members to rows that they never saw; "
            "wanted members = 4 in the section [ensemble], or of an estimator members=4"
        )

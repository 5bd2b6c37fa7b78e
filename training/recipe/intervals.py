"""What a recipe with [intervals] needs."""

from collections.abc import Sequence

from training.recipe.fit_sections import (
    EnsembleSection,
    FitSection,
    PruneSection,
    SearchSection,
    SymbolicSection,
)
from training.recipe.sections import TaskSection


def check_intervals(
    task: TaskSection,
    fit: FitSection,
    ensemble: EnsembleSection | None,
    search: SearchSection | None,
    later: SymbolicSection | PruneSection | None,
) -> None:
    """Refuse sections that leave no row to make intervals from, or no answer to put them around.

    Args:
        task: Says what is answered.
        fit: Says on which grids.
        ensemble: Gives each row a member that never saw it.
        search: Its candidates may change the grids.
        later: A step that changes the network after its members were judged.

    Raises:
        ValueError: in words for people.
    """
    if task.kind != "regression":
        raise ValueError('[intervals]: only with [task] kind = "regression"; classes have probabilities, which tell it')
    if task.objective == "quantile":
        raise ValueError(
            '[intervals]: not with [task] objective = "quantile", whose answer is not the middle of what to expect; '
            'wanted objective = "squared_error" or "mae"'
        )
    if ensemble is None:
        raise ValueError(
            "[intervals] needs [ensemble]: intervals are made from the answers of members to rows that they never saw; "
            "add the section [ensemble] with members = 4"
        )
    if later is not None:
        name = "symbolic" if isinstance(later, SymbolicSection) else "prune"
        raise ValueError(
            f"[intervals]: not with [{name}], which changes the network after its members were judged; leave one out"
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

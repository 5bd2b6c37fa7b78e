"""What a recipe of an additive model must not have: nothing but its curves is fitted, and no optimizer fits them."""

from pydantic import BaseModel

from training.recipe.fit_sections import FitSection
from training.recipe.sections import TaskSection

# Sections that change or repeat a fit by an optimizer, and why an additive model has no use for each.
_SENSELESS = {
    "image": "the pixels of an image act together, and an additive model has terms of one or two columns",
    "augment": "the pixels of an image act together, and an additive model has terms of one or two columns",
    "adapt": "its knots follow the training rows already",
    "ensemble": "its fit has no luck that a mean could take away",
    "intervals": "they are made from the answers of members to rows that they never saw, and it has no members",
    "calibration": "it comes from rows that one of several members left out, and it has no members",
    "search": "generalised cross-validation chooses its smoothness",
    "sparsify": "its penalties are chosen by generalised cross-validation",
    "prune": "a curve that the rows do not need is flat already",
}
# [fit] has a default for batch_rows, which is there without being asked for.
_FIT_KEYS = frozenset({"grids", "seed", "batch_rows"})
_OBJECTIVES = ("squared_error", "poisson", "gamma")


def check_additive(document: BaseModel, fit: FitSection, task: TaskSection) -> None:
    """Refuse by name what does not fit together with ``additive = true`` in [network].

    Raises:
        ValueError: a section on fits by an optimizer; keys of [fit] but grids and seed; several grids; an objective
            that is no likelihood with a smooth loss; a search for small networks.
    """
    for name, why in _SENSELESS.items():
        if getattr(document, name) is not None:
            of_estimator = " (of an estimator: coverage)" if name in ("intervals", "calibration") else ""
            raise ValueError(
                f"[{name}]: not with [network] additive = true: {why}; leave the section out{of_estimator}"
            )
    if idle := sorted(fit.model_fields_set - _FIT_KEYS):
        raise ValueError(
            f"[fit] {', '.join(idle)}: not with [network] additive = true, which is fitted by least squares and Newton "
            "steps; wanted grids and seed only"
        )
    if len(fit.grids) > 1:
        raise ValueError(f"[fit] grids = {list(fit.grids)}: wanted one grid size with [network] additive = true")
    if task.objective not in _OBJECTIVES:
        raise ValueError(
            f'[task] objective = "{task.objective}": not with [network] additive = true; wanted one of '
            f"{', '.join(_OBJECTIVES)}"
        )
    symbolic = getattr(document, "symbolic", None)
    if symbolic is not None and symbolic.choice == "in-context":
        raise ValueError(
            '[symbolic] choice = "in-context": not with [network] additive = true, since it fits networks of its own; '
            'wanted "by-edge"'
        )

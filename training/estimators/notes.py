"""What the fit of an estimator notes, and why there is no formula."""

import warnings

from training.errors import quoted_list
from training.pipelines.fresh.judged_fit import JudgedFit

_WARNING = "warning   "


def notes_of(fit: JudgedFit) -> tuple[str, ...]:
    """The notes of a fit; of one that looked for a formula in vain also the columns of words."""
    of_words = [column.name for column in fit.dataset.columns if column.is_of_words]
    if not of_words or not _lacks_formula(fit):
        return fit.notes
    return (
        *fit.notes,
        f"each word is an input, and few formulas have such inputs; try without {quoted_list(of_words)}",
    )


def explain_lack(fit: JudgedFit, estimator: str) -> str:
    """Why a fit has no formula.

    Args:
        fit: What came of it.
        estimator: Name of the estimator, which says how to look for a formula.
    """
    if fit.recipe.symbolic is None:
        return f"{estimator}(symbolic=True) looks for one"
    return "; ".join(note.removeprefix(_WARNING) for note in fit.notes)


def warn_of_lack(fit: JudgedFit, estimator: str) -> None:
    """Warn the caller of an estimator's `fit` if a formula was looked for in vain, or of what sets and T lack."""
    if _lacks_formula(fit):
        why = explain_lack(fit, estimator)
        warnings.warn(f"no formula was found, and the network answers by its splines: {why}", stacklevel=3)
    for note in () if fit.calibrated is None else fit.calibrated.notes():
        if note.startswith(_WARNING):
            warnings.warn(note.removeprefix(_WARNING), stacklevel=3)


def _lacks_formula(fit: JudgedFit) -> bool:
    return fit.recipe.symbolic is not None and not fit.formula and fit.formula_details is None

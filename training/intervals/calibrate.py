"""From out-of-fold answers to the bounds of a network."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from kan_model import KANLayer
from kan_model.network.transform import Intervals
from training.calibration.ranks import conformal_quantile, fewest_rows
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.split import RowNumbers
from training.ensemble.plan import deal_rows
from training.errors import TrainingError
from training.fitting.apart import ApartRows
from training.intervals.scale import FEWEST_FOLDS, FEWEST_ROWS, Design, fit_scale
from training.publishing.export import Trained
from training.recipe.config import Recipe
from training.recipe.fit_sections import IntervalsSection

Kind = Literal["linear", "positive", "log"]
# Folds of the scale, by whose number the rows are dealt again.
_FOLDS = 5
# More would move the bounds by less than 0.2 % of the rows.
_MOST_ROWS = 50_000


class IntervalsFailed(TrainingError, ValueError):
    """The rows do not allow the intervals that were asked for."""


def describe_need(coverage: float) -> str:
    """How many rows a coverage needs, for the message of :class:`IntervalsFailed`."""
    return (
        f"[intervals] coverage = {coverage:g} needs at least {fewest_rows(coverage)} rows that neither trained nor "
        "chose the members that answer them"
    )


@dataclass(frozen=True)
class Calibrated:
    """Bounds, and the scores that they were made from.

    Attributes:
        coverage: What was asked for.
        intervals: The bounds.
        scores: ``[rows, outputs]``, of the rows that calibrated.
        rows: These rows.
        log_scales: ``[rows, outputs]``, what their errors were divided by; 0 without a scale.
        folds: ``[rows]``, the folds by which the bounds can be judged.
    """

    coverage: float
    intervals: Intervals
    scores: Numbers
    rows: ApartRows
    log_scales: Numbers
    folds: RowNumbers


def calibrate(recipe: Recipe, dataset: Dataset, trained: Trained, rows: ApartRows) -> Calibrated:
    """Make the bounds of a network.

    Args:
        recipe: With [intervals]; its [split] says how rows are dealt into folds.
        dataset: Of the rows.
        trained: The network to publish.
        rows: Answers to rows that neither trained, stopped nor chose the networks that answered them.

    Raises:
        IntervalsFailed: too few rows.
    """
    section = recipe.intervals
    assert section is not None
    if len(rows.numbers) < fewest_rows(section.coverage):
        count = len(dataset.train) + len(dataset.validation)
        raise IntervalsFailed(
            f"{describe_need(section.coverage)}; {len(rows.numbers)} of {count} rows are such after this fit, because "
            "the losses of the others were not finite; wanted a smaller learning_rate"
        )
    rows = rows.thinned(_MOST_ROWS)
    kind = kind_of(dataset)
    errors = errors_of(kind, dataset.y[rows.numbers], rows.answers)
    folds = _deal(recipe, dataset, rows)
    layer, log_scales = _learn_scale(section, dataset, trained, rows, errors, folds)
    scores = errors * np.exp(-log_scales)
    quantile = conformal_quantile(scores, section.coverage).astype(np.float32)
    half_width = np.maximum(quantile, np.finfo(np.float32).tiny)
    return Calibrated(section.coverage, Intervals(half_width, kind, layer), scores, rows, log_scales, folds)


def _learn_scale(
    section: IntervalsSection,
    dataset: Dataset,
    trained: Trained,
    rows: ApartRows,
    errors: Numbers,
    folds: RowNumbers,
) -> tuple[KANLayer | None, Numbers]:
    """The scale of the errors, None for a constant, and the logarithms ``[rows, outputs]`` by which rows are scored."""
    first = trained.kan.layers[0]
    is_enough = len(rows.numbers) >= FEWEST_ROWS and folds.max() + 1 >= FEWEST_FOLDS
    # A layer of formulas alone has no functions of splines that a scale could share.
    if section.scaled and is_enough and bool(first.active_edges.any()):
        x = network_inputs(trained, dataset.x[rows.numbers])
        design = Design.of(first, x)
        scale = fit_scale(design.features(x), errors, folds, design.strength, section.coverage)
        if not scale.is_constant:
            return design.layer(scale.curves), scale.log_scales
        # Folds whose own fits chose curves keep them: what all rows chose shall not change the score of a row.
        intercepts: Numbers = np.array([one.intercept for one in scale.curves])
        return None, scale.log_scales - intercepts
    return None, np.zeros_like(errors)


def kind_of(dataset: Dataset) -> Kind:
    """How errors are measured: as differences, or as differences of logarithms."""
    if dataset.target_scale == "log":
        return "log"
    return "positive" if dataset.loss.has_log_link else "linear"


def errors_of(kind: Kind, truth: Numbers | RowNumbers, answers: Numbers) -> Numbers:
    """``[rows, outputs]``, 0 or more, from true values and answers in raw units."""
    errors: Numbers = np.log(truth) - np.log(answers) if kind == "log" else truth - answers
    return np.abs(errors)


def network_inputs(trained: Trained, x: Numbers) -> torch.Tensor:
    """What the network reads, float64 ``[rows, inputs]``, for raw rows ``[rows, features]``."""
    rows = torch.from_numpy(x)
    return rows if trained.inputs is None else trained.inputs(rows)


def _deal(recipe: Recipe, dataset: Dataset, rows: ApartRows) -> RowNumbers:
    """Whole groups, stretches of time or single rows, as members leave them out."""
    dealt = len(rows.numbers) if dataset.groups is None else len(np.unique(dataset.groups[rows.numbers]))
    return deal_rows(recipe, dataset, rows.numbers, min(_FOLDS, dealt))

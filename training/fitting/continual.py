"""Fit new rows without forgetting old ones: only the spline coefficients that the new rows touch may change.

A row touches a coefficient if the coefficient's basis function is not zero at the row. A cubic B-spline is zero outside
of four intervals, so rows in one region do not touch the coefficients of another. All other parameters would change
the answers everywhere, and are frozen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kan_model import KAN
from kan_model.analysis.edge_values import first_flaw
from training.data.objective.loss_function import Loss, loss_function
from training.data.samples import Samples, check_rows, check_samples
from training.fitting.evaluation import answers, block_rows
from training.fitting.fit import TrainingDiverged, fit_module
from training.fitting.free_coefficients import FreeCoefficients, check_finite
from training.fitting.record import Record
from training.recipe.fit_sections import FitSection

LBFGS = FitSection(optimizer="lbfgs", steps=100)


@dataclass(frozen=True)
class Drift:
    """How much the answers to old rows changed, as a share of each output's range over these rows.

    For an output with the same value on all rows it is the change itself.

    Attributes:
        largest: The largest change over all rows and outputs.
        rms: Root mean square over all rows and outputs.
    """

    largest: float
    rms: float


@dataclass(frozen=True)
class Continued:
    """A network that was trained further.

    Attributes:
        kan: The new network.
        free: For each layer bool ``[outputs, inputs, grid_size + degree]``: the coefficients that could change. All
            other numbers of the network are the same bits as before.
        rows_outside: Number of new rows with a feature outside the splines' domain.
        drift: How much the answers to the old rows changed; None if no old rows were given.
        history: One record per evaluation, the first before any step; grid sizes are 0.
    """

    kan: KAN
    free: tuple[Tensor, ...]
    rows_outside: int
    drift: Drift | None
    history: tuple[Record, ...]


def fit_on(
    kan: KAN,
    new_rows: Tensor,
    new_targets: Tensor,
    *,
    task: Loss = "regression",
    plan: FitSection = LBFGS,
    validation: Samples | None = None,
    old_rows: Tensor | None = None,
    protect_old: bool = False,
    new_weights: Tensor | None = None,
    on_evaluation: Callable[[Record], None] | None = None,
) -> Continued:
    """Fit only the coefficients that the new rows touch.

    These are determined once, before the first step (:func:`touched_coefficients`). In a network of one layer, a row
    that shares no basis function with the new rows keeps its answer, bit for bit. With several inputs or layers most
    rows share some, and old answers change about as much as if everything could change; ``old_rows`` measures it.

    ``protect_old`` prevents this: coefficients that an old row touches are frozen too. So the old row's hidden values
    stay, layer by layer, and its answer stays, bit for bit. The new rows are then fitted less well.

    There is no weight decay and no penalty: both would change coefficients that the new rows hardly determine. The fit
    is done in float64 and rounded once to the network's type.

    LBFGS hardly changes a coefficient that the rows hardly touch. Adam changes all at the same pace, whatever their
    gradient, and so forgets a little more at the border of the new rows.

    Args:
        kan: The network; it is not changed.
        new_rows: ``[rows, inputs]``, imputed and scaled as in the network's training.
        new_targets: ``[rows, outputs]``, scaled likewise, or int64 ``[rows]`` classes.
        task: The loss to minimize.
        plan: Optimizer, steps, learning rate, batches and seed; its grids are not used.
        validation: Rows that choose the best step, the unchanged network included; None: the new rows choose.
        old_rows: ``[rows, inputs]``, for which the change of the answers is reported; they are not fitted.
        protect_old: Freeze the coefficients that the old rows touch.
        new_weights: ``[rows]`` of mean 1, how much each new row counts; None: all alike.
        on_evaluation: Called with the record of each evaluation.

    Returns:
        The new network, and what changed.

    Raises:
        ValueError: rows or targets that are empty, not finite or of the wrong shape; classes that the network lacks; a
            network whose numbers are not finite; weight decay; no coefficient that may change; ``protect_old`` without
            ``old_rows``.
        TrainingDiverged: the loss is not finite before the first step.

    Source: arXiv 2404.19756, section 3.5 (Fig. 3.4).
    """
    if plan.weight_decay > 0:
        raise ValueError(f"weight_decay is {plan.weight_decay:g}; wanted 0, because it changes every coefficient")
    check_finite(kan)
    new = _check_samples(kan, Samples(new_rows, new_targets, new_weights), task, "new")
    validation = new if validation is None else _check_samples(kan, validation, task, "validation")
    old = None if old_rows is None else old_rows.detach().to(kan.layers[0].coefficients)
    if old is not None:
        check_rows(kan, old, "old")
    if flaw := first_flaw(kan, new.x):
        raise TrainingDiverged(f"the loss is not finite before the first step; {flaw}")
    rows_outside = _count_outside(kan, new.x)
    free = touched_coefficients(kan, new.x)
    if not any(bool(mask.any()) for mask in free):
        raise ValueError(
            f"the new rows touch no spline coefficient ({rows_outside} of {len(new.x)} lie outside the domain); "
            "wanted rows inside the domain of some spline"
        )
    if protect_old:
        free = _exclude_touched(free, kan, old)
    found = fit_module(
        FreeCoefficients(kan, free), _to_float64(new), _to_float64(validation), plan, task, on_evaluation=on_evaluation
    )
    fitted = found.best.network_like(kan)
    drift = None if old is None else _drift(answers(kan, old).double(), answers(fitted, old).double())
    return Continued(fitted, free, rows_outside, drift, found.history)


def touched_coefficients(kan: KAN, rows: Tensor) -> tuple[Tensor, ...]:
    """The spline coefficients that the answers to these rows depend on.

    Args:
        kan: The network.
        rows: ``[rows, inputs]`` in the network's type.

    Returns:
        For each layer bool ``[outputs, inputs, grid_size + degree]``: True if the basis function is not zero for the
        layer's inputs of some row, and the edge is a spline.
    """
    reached = [torch.zeros_like(layer.coefficients[0], dtype=torch.bool) for layer in kan.layers]
    with torch.no_grad():
        for block in torch.split(rows, block_rows(kan)):
            x = block
            for seen, layer in zip(reached, kan.layers, strict=True):
                seen |= (layer.basis(x) != 0).any(dim=0)
                x = layer(x)
    return tuple((layer.edge_mask != 0).unsqueeze(2) & seen for layer, seen in zip(kan.layers, reached, strict=True))


def _exclude_touched(touched: Sequence[Tensor], kan: KAN, old: Tensor | None) -> tuple[Tensor, ...]:
    """The touched coefficients that the old rows do not touch."""
    if old is None:
        raise ValueError("protect_old without old_rows; wanted the rows to protect")
    free = tuple(new & ~taken for new, taken in zip(touched, touched_coefficients(kan, old), strict=True))
    if not any(bool(mask.any()) for mask in free):
        raise ValueError(
            "the old rows touch every spline coefficient that the new ones touch; wanted protect_old = False, a finer "
            "grid, or old rows from elsewhere"
        )
    return free


def _to_float64(samples: Samples) -> Samples:
    y = samples.y.double() if samples.y.is_floating_point() else samples.y
    return Samples(samples.x.double(), y, None if samples.weights is None else samples.weights.double())


def _count_outside(kan: KAN, rows: Tensor) -> int:
    first = kan.layers[0]
    # Features that no spline reads are not counted.
    outside = ((rows < first.domain[:, 0]) | (rows > first.domain[:, 1])) & (first.edge_mask != 0).any(dim=0)
    return int(outside.any(dim=1).sum())


def _drift(before: Tensor, after: Tensor) -> Drift:
    width = before.amax(dim=0) - before.amin(dim=0)
    moved = (after - before).abs() / torch.where(width > 0, width, 1.0)
    return Drift(float(moved.max()), float(moved.square().mean().sqrt()))


def _check_samples(kan: KAN, samples: Samples, task: Loss, which: str) -> Samples:
    """The samples in the network's type."""
    like = kan.layers[0].coefficients
    y = samples.y.to(like) if loss_function(task).task == "regression" else samples.y
    weights = None if samples.weights is None else samples.weights.to(like)
    result = Samples(samples.x.detach().to(like), y.detach(), weights)
    check_samples(kan, result, task, which)
    return result

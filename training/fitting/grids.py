"""The grids of a fit: each is finer than the one before and, with [adapt], follows the training rows."""

import math

from torch import Tensor

from kan_model import KAN, adapt_grid, refine_grid
from training.errors import FitRefused
from training.recipe.fit_sections import AdaptSection

# The most rows that grids follow; more rows would hardly change the quantiles.
_ROWS = 4096


def first_grid(kan: KAN, grid_size: int, rows: Tensor, adapt: AdaptSection | None, *, only_inputs: bool = False) -> KAN:
    """The network on the first grid; with ``adapt`` the grids of the inputs follow the rows.

    The grids of the hidden layers are not adapted: the hidden values of an untrained network differ from those after
    training.

    Args:
        kan: The network; it is not changed.
        grid_size: Number of intervals of every spline.
        rows: ``[rows, inputs]``, training rows, imputed and scaled.
        adapt: How grids follow the rows; None: they are only refined.
        only_inputs: Whether the hidden layers keep the grids that they have.

    Raises:
        FitRefused: values that no grid can follow.
    """
    start = _refine(kan, grid_size, only_inputs)
    if adapt is None:
        return start
    return start.with_layers([_adapt(start, grid_size, rows, adapt).layers[0], *start.layers[1:]])


def next_grid(kan: KAN, grid_size: int, rows: Tensor, adapt: AdaptSection | None, *, only_inputs: bool = False) -> KAN:
    """The network on a finer grid; with ``adapt`` the grids of all layers follow the rows, or of the inputs only.

    Arguments as :func:`first_grid`.
    """
    if adapt is None:
        return _refine(kan, grid_size, only_inputs)
    if not only_inputs:
        return _adapt(kan, grid_size, rows, adapt)
    inputs = _adapt(KAN.of_layers(kan.layers[:1]), grid_size, rows, adapt)
    return kan.with_layers([*inputs.layers, *kan.layers[1:]])


def _refine(kan: KAN, grid_size: int, only_inputs: bool) -> KAN:
    refined = refine_grid(kan, grid_size)
    return kan.with_layers([refined.layers[0], *kan.layers[1:]]) if only_inputs else refined


def parameters_on(kan: KAN, grid_size: int) -> int:
    """The number of parameters of the network on a grid of this size."""
    more = sum(layer.inputs * layer.sums * (grid_size - layer.grid_size) for layer in kan.layers)
    return more + sum(parameter.numel() for parameter in kan.parameters())


def _adapt(kan: KAN, grid_size: int, rows: Tensor, adapt: AdaptSection) -> KAN:
    some = rows[:: -(-len(rows) // _ROWS)]
    try:
        # The grids move all the way, however much the answers change: the fit that follows corrects it.
        return adapt_grid(
            kan, some, grid_size=grid_size, uniform_share=adapt.uniform_share, margin=adapt.margin, max_moved=math.inf
        ).kan
    except ValueError as error:
        raise FitRefused(f"[adapt] before grid {grid_size}: {error}; or leave [adapt] out") from None

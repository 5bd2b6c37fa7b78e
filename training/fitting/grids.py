"""The grids of a fit: each finer than the one before and, where the recipe asks for it, where the rows are."""

import math

from torch import Tensor

from kan_model import KAN, adapt_grid, refine_grid
from training.errors import FitRefused
from training.recipe.fit_sections import AdaptSection

# Rows that grids follow; more would not move a quantile by much.
_ROWS = 4096


def first_grid(kan: KAN, grid_size: int, rows: Tensor, adapt: AdaptSection | None) -> KAN:
    """The network on the first grid, of which those of the inputs follow the rows.

    What reaches the hidden layers of a network that has not learned says nothing of what will: their grids stay.

    Args:
        kan: The network; it is left as it is.
        grid_size: Intervals of every spline.
        rows: ``[rows, inputs]``, training rows as the network sees them.
        adapt: None: the grids are refined only.

    Raises:
        FitRefused: values that no grid can follow.
    """
    start = refine_grid(kan, grid_size)
    if adapt is None:
        return start
    return KAN.of_layers([_adapted(start, grid_size, rows, adapt).layers[0], *start.layers[1:]])


def next_grid(kan: KAN, grid_size: int, rows: Tensor, adapt: AdaptSection | None) -> KAN:
    """The network on a finer grid; with ``adapt`` the grids of all layers follow the rows, as :func:`first_grid`."""
    return refine_grid(kan, grid_size) if adapt is None else _adapted(kan, grid_size, rows, adapt)


def parameters_on(kan: KAN, grid_size: int) -> int:
    """How many the network has once its grids are so fine."""
    more = sum(layer.inputs * layer.outputs * (grid_size - layer.grid_size) for layer in kan.layers)
    return more + sum(parameter.numel() for parameter in kan.parameters())


def _adapted(kan: KAN, grid_size: int, rows: Tensor, adapt: AdaptSection) -> KAN:
    some = rows[:: -(-len(rows) // _ROWS)]
    try:
        # All the way, whatever it moves: the fit that follows makes up for it.
        return adapt_grid(
            kan, some, grid_size=grid_size, uniform_share=adapt.uniform_share, margin=adapt.margin, max_moved=math.inf
        ).kan
    except ValueError as error:
        raise FitRefused(f"[adapt] before grid {grid_size}: {error}; or leave [adapt] out") from None

"""Refuse what does not make a layer: shapes that do not fit together, and numbers that are not finite."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kan_model.network.products import Products


def check_choices(domain: Tensor | None, knots: Tensor | None, outside: str) -> None:
    """Refuse both kinds of grid or none, and an unknown policy.

    Raises:
        ValueError: with what was wanted.
    """
    if (domain is None) == (knots is None):
        raise ValueError("give either domain (uniform grids) or knots (any grid)")
    if outside not in ("clamp", "decay"):
        raise ValueError(f'outside is {outside!r}; wanted "clamp" or "decay"')


def check_shapes(
    base_weight: Tensor,
    coefficients: Tensor,
    degree: int,
    products: Products | None,
    *,
    domain: Tensor,
    knots: Tensor | None,
    edge_mask: Tensor | None,
    bias: Tensor | None,
) -> None:
    """Refuse tensors whose shapes are not those in :class:`kan_model.network.layer.KANLayer`, and products of others.

    Raises:
        ValueError: with the name of the tensor, its shape and the wanted one.
    """
    inputs = domain.shape[0]
    grid_size = coefficients.shape[-1] - degree
    if base_weight.ndim != 2 or base_weight.shape[1] != inputs:
        raise ValueError(f"base_weight has shape {tuple(base_weight.shape)}; wanted [sums, {inputs}]")
    if coefficients.shape[:-1] != base_weight.shape or grid_size < 1:
        raise ValueError(
            f"coefficients have shape {tuple(coefficients.shape)}; wanted "
            f"{[*base_weight.shape, f'grid_size + {degree}']}"
        )
    if edge_mask is not None and edge_mask.shape != base_weight.shape:
        raise ValueError(f"edge_mask has shape {tuple(edge_mask.shape)}; wanted {tuple(base_weight.shape)}")
    if bias is not None and bias.shape != base_weight.shape[:1]:
        raise ValueError(f"bias has shape {tuple(bias.shape)}; wanted {[base_weight.shape[0]]}")
    if knots is not None and knots.shape[1] != grid_size + 2 * degree + 1:
        raise ValueError(f"{knots.shape[1]} knots per input; wanted {grid_size + 2 * degree + 1}")
    if products is not None and products.sums != len(base_weight):
        raise ValueError(f"products are of {products.sums} sums; wanted {len(base_weight)}")


def check_finite(**tensors: Tensor | None) -> None:
    """Refuse numbers that are not finite.

    Args:
        **tensors: By the names that messages use; None is left out.

    Raises:
        ValueError: with the name of the tensor, and the place of the first such number.
    """
    for name, tensor in tensors.items():
        if tensor is not None and (bad := ~torch.isfinite(tensor)).any():
            place = bad.nonzero()[0].tolist()
            raise ValueError(f"{name} has {int(bad.sum())} numbers that are not finite, first at {place}; wanted none")


def check_directions(
    directions: Tensor | None,
    base_weight: Tensor,
    outside: str,
    products: Products | None,
    symbolic: Sequence[tuple[int, int]],
) -> None:
    """Refuse directions that the layer could not keep.

    A product of two rising factors may fall, the splines of "decay" fall to 0 beyond their domain, and the constants of
    a symbolic edge are free.

    Args:
        directions: 1, −1 or 0 for each edge; None: all edges are free.
        base_weight: ``[sums, inputs]``.
        outside: The policy of the layer.
        products: Which sums make which node.
        symbolic: (sum, input) of each symbolic edge.

    Raises:
        ValueError: with what was wanted.
    """
    if directions is None:
        return
    if directions.shape != base_weight.shape or not torch.isin(directions, directions.new_tensor([-1, 0, 1])).all():
        raise ValueError(
            f"directions have shape {tuple(directions.shape)} and values from {int(directions.min())} to "
            f"{int(directions.max())}; wanted {tuple(base_weight.shape)}, each 1, -1 or 0"
        )
    if outside != "clamp":
        raise ValueError(
            f'edges with a direction and outside = "{outside}"; wanted "clamp", under which no spline turns'
        )
    multiplied = [] if products is None else [sum_ for node in products.factors if len(node) > 1 for sum_ in node]
    if multiplied and directions[multiplied].any():
        raise ValueError("a node multiplies sums of edges with a direction; wanted nodes that add")
    if turning := [place for place in symbolic if directions[place] != 0]:
        raise ValueError(f"the edge {turning[0]} has a direction and a formula, which may turn; wanted a spline there")

"""Refuse what does not make a layer: shapes that do not fit together, and numbers that are not finite."""

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


def check_products(products: Products | None, sums: int) -> None:
    """Refuse products of another number of sums.

    Raises:
        ValueError: with both numbers.
    """
    if products is not None and products.sums != sums:
        raise ValueError(f"products are of {products.sums} sums; wanted {sums}")


def check_shapes(
    base_weight: Tensor,
    coefficients: Tensor,
    degree: int,
    *,
    domain: Tensor,
    knots: Tensor | None,
    edge_mask: Tensor | None,
    bias: Tensor | None,
) -> None:
    """Refuse tensors whose shapes are not those in :class:`kan_model.network.layer.KANLayer`.

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

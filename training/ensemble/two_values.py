"""Straight edges from the inputs that take two values in the rows, such as the 0/1 inputs of a column of words."""

import torch
from torch import Tensor

from kan_model import KAN
from kan_model.network.straight import straighten


def straighten_two_valued(kan: KAN, rows: Tensor) -> KAN:
    """The network with straight edges from these inputs: the same answers to the rows, and fewer numbers to compute.

    Args:
        kan: A fitted network; it is not changed.
        rows: ``[rows, inputs]``, all rows that trained it, imputed and scaled.

    Returns:
        The network itself if no input takes two values, or if its splines are not clamped.
    """
    first = kan.layers[0]
    low, high = rows.amin(dim=0), rows.amax(dim=0)
    has_two = (low < high) & ((rows == low) | (rows == high)).all(dim=0)
    if first.outside != "clamp" or not has_two.any():
        return kan
    low = torch.where(has_two, low, torch.full_like(low, torch.nan))
    return kan.with_layers([straighten(first, low, high), *kan.layers[1:]])

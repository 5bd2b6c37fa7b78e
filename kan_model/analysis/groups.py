"""Inputs of a network that come from one column of the table, such as the 0/1 inputs of a column of words."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kan_model.network.network import KAN


def check_groups(kan: KAN, groups: Sequence[int] | None) -> None:
    """Refuse groups that are not numbered from 0, or that are not one for each input.

    Raises:
        ValueError: with what came and what was wanted.
    """
    if groups is not None and (len(groups) != kan.width[0] or set(groups) != set(range(max(groups, default=0) + 1))):
        raise ValueError(f"groups are {list(groups)}; wanted numbers from 0 on, one for each of {kan.width[0]} inputs")


def add_groups(edges: Tensor, groups: Sequence[int] | None) -> Tensor:
    """Edges ``[rows, sums, inputs]`` as ``[rows, sums, groups]``: in each row those of a group are added up."""
    if groups is None:
        return edges
    summed = edges.new_zeros(*edges.shape[:2], max(groups) + 1)
    return summed.index_add(2, torch.tensor(groups, device=edges.device), edges)

"""What an additive fit begins with: the network on its intervals, and which lines share a penalty."""

import numpy as np
import torch
from torch import Tensor

from kan_model import KAN
from kan_model.network.transform import InputTransform
from training.data.dataset import Dataset
from training.data.preparation import new_network
from training.data.split import RowNumbers
from training.recipe.config import Recipe

# Intervals of each curve; the penalty makes them as smooth as the rows want. On the choosing half of benchmarks/tables
# 40 were no better than 30, 20 were 1.3 % worse.
_INTERVALS, _FEWEST_INTERVALS = 30, 4
# Where there are so many columns that their curves had more coefficients than this, or than rows, they have fewer
# intervals: the time of a fit grows with the cube of their number.
_USUAL_COEFFICIENTS = 1500


def start_network(recipe: Recipe, dataset: Dataset, inputs: InputTransform) -> KAN:
    """The network before the fit: one layer over the ranges of the training rows.

    Raises:
        DataError: a column is too narrow, or [fit] grids has more intervals than there are training rows.
    """
    if "grids" in recipe.fit.model_fields_set:
        intervals = recipe.fit.grids[0]
    else:
        x = inputs(torch.from_numpy(dataset.x[dataset.train]))
        curves = max(1, int((~_takes_two(x)).sum()))
        usual = min(_USUAL_COEFFICIENTS, len(rows_that_train(dataset))) // curves - recipe.network.degree
        intervals = max(1, min(_INTERVALS, max(_FEWEST_INTERVALS, usual), len(dataset.train)))
    plan = recipe.fit.model_copy(update={"grids": (intervals,)})
    return new_network(dataset, recipe.model_copy(update={"fit": plan}), inputs)


def rows_that_train(dataset: Dataset) -> RowNumbers:
    """Row numbers of the training and the validation part, without rows of weight 0 if others are there."""
    numbers = np.concatenate([dataset.train, dataset.validation])
    if dataset.weights is None:
        return numbers
    some = numbers[dataset.weights[numbers] > 0]
    return some if len(some) else numbers


def _takes_two(x: Tensor) -> Tensor:
    """``[inputs]``: whether an input takes two values or one."""
    return ((x == x.amin(dim=0)) | (x == x.amax(dim=0))).all(dim=0)


def groups_of(dataset: Dataset) -> list[int]:
    """For each input the group of its line: the words of a column are one, all other lines are another."""
    of_column = {column.name: place for place, column in enumerate(dataset.columns) if column.categories}
    others = len(dataset.columns)
    groups = [of_column.get(feature.column, others) for feature in dataset.features]
    return [*groups, *(others + 1 for _ in dataset.gaps)]


def column_names(dataset: Dataset) -> list[str | None]:
    """For each input the name of its column, as a pair has it; None for an input that is in no pair.

    The words of a column are one; the numbers of a date are columns of their own. In no pair are gap inputs, and
    columns by target statistics with a number for each class.
    """
    kinds = {column.name: column for column in dataset.columns}
    names: list[str | None] = []
    for feature in dataset.features:
        column = kinds[feature.column]
        if column.by_target and feature.category is not None:
            names.append(None)
        else:
            names.append(column.name if column.is_of_words else feature.name)
    return [*names, *(None for _ in dataset.gaps)]


def columns_of_numbers(dataset: Dataset) -> dict[str, str]:
    """The columns of numbers that are not called as their columns: of a date."""
    kinds = {column.name: column for column in dataset.columns}
    return {each.name: each.column for each in dataset.features if not kinds[each.column].is_of_words}

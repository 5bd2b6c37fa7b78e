"""From a dataset to tensors: the transforms of inputs and outputs, the samples, and a new network."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from kan_model import KAN, KANConfig
from kan_model.network.transform import Affine, InputTransform, OutputTransform, Softmax
from kan_model.splines.bspline import uniform_knots
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.float32_limits import input_flaw
from training.data.samples import Samples
from training.data.split import RowNumbers
from training.errors import DataError, quoted
from training.recipe.config import Recipe

Scaling = Literal["minmax", "standard", "none"]


def input_transform(dataset: Dataset, scaling: Scaling) -> InputTransform:
    """Imputation and scaling, computed from the training rows; constant features are only centred.

    Raises:
        DataError: float32 arithmetic cannot scale a feature's values.
    """
    x = _impute(dataset)[dataset.train]
    low, high = x.min(axis=0), x.max(axis=0)
    constant = np.array(dataset.constant)
    width = np.where(constant, 1.0, high - low)
    _check_magnitude(dataset, low, high)
    if scaling == "minmax":
        center, scale = (low + high) / 2, np.where(constant, 1.0, 2 / width)
    elif scaling == "standard":
        center, scale = x.mean(axis=0), 1 / np.where(constant, 1.0, x.std(axis=0))
    else:
        center, scale = np.where(constant, low, 0.0), np.ones_like(low)
    imputed = [np.nan if value is None else value for value in dataset.imputed]
    return InputTransform(
        center.astype(np.float32),
        scale.astype(np.float32),
        None if np.isnan(imputed).all() else np.array(imputed, dtype=np.float32),
    )


def output_transform(dataset: Dataset) -> OutputTransform:
    """Softmax for a classification; for a regression the mean and standard deviation of the training rows."""
    if dataset.task == "classification":
        return Softmax()
    y = dataset.y[dataset.train]
    return Affine(y.mean(axis=0).astype(np.float32), y.std(axis=0).astype(np.float32))


def new_network(dataset: Dataset, recipe: Recipe, transform: InputTransform, *, seed: int | None = None) -> KAN:
    """A new network whose domains are the ranges of the training rows. Constant features have no edges.

    Args:
        dataset: The table.
        recipe: Shape of the network, grids, and seed.
        transform: Imputation and scaling.
        seed: Another seed than the recipe's, for a further network of the same shape.

    Raises:
        DataError: a column is too narrow for the finest grid, or a grid has more intervals than there are training
            rows.
    """
    _check_rows(dataset, recipe)
    dtype = getattr(torch, recipe.network.dtype)
    scaled = transform(torch.from_numpy(dataset.x[dataset.train]))
    low, high = scaled.min(dim=0).values, scaled.max(dim=0).values
    constant = torch.tensor(dataset.constant)
    low, high = torch.where(constant, -1.0, low), torch.where(constant, 1.0, high)
    _check_knots(dataset, torch.stack([low, high], dim=1).to(dtype), recipe)
    outputs = len(dataset.classes) or dataset.y.shape[1]
    config = KANConfig(
        width=(dataset.x.shape[1], *recipe.network.hidden, outputs),
        grid_size=recipe.fit.grids[0],
        degree=recipe.network.degree,
        outside=recipe.network.outside,
        domain=tuple((float(a), float(b)) for a, b in zip(low, high, strict=True)),
        initialization=recipe.network.initialization,
    )
    kan = KAN(config, seed=recipe.fit.seed if seed is None else seed, dtype=dtype)
    kan.layers[0].edge_mask[:, constant] = 0
    return kan


def samples(
    dataset: Dataset,
    rows: RowNumbers,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    dtype: torch.dtype,
) -> Samples:
    """The rows with imputed and scaled inputs and scaled targets, in the network's type."""
    raw = torch.from_numpy(dataset.x[rows])
    x = (raw if inputs is None else inputs(raw)).to(dtype)
    y = torch.from_numpy(dataset.y[rows])
    if isinstance(outputs, Affine):
        y = ((y - torch.from_numpy(outputs.center)) / torch.from_numpy(outputs.scale)).to(dtype)
    return Samples(x, y)


def feature_ranges(dataset: Dataset) -> tuple[Numbers, Numbers]:
    """The smallest and largest value of each feature in the training rows, after imputation, in raw units."""
    x = _impute(dataset)[dataset.train]
    return x.min(axis=0), x.max(axis=0)


def _impute(dataset: Dataset) -> Numbers:
    imputed = np.array([np.nan if value is None else value for value in dataset.imputed])
    return np.where(np.isnan(dataset.x), imputed, dataset.x)


def _check_rows(dataset: Dataset, recipe: Recipe) -> None:
    """Refuse a grid with more intervals than training rows: the rows cannot determine its splines."""
    finest, rows = recipe.fit.grids[-1], len(dataset.train)
    if finest > rows:
        raise DataError(
            f"{dataset.source}: [fit] grids has {finest} intervals for {rows} training rows; wanted at most {rows}, or "
            "more rows"
        )


def _check_knots(dataset: Dataset, domain: Tensor, recipe: Recipe) -> None:
    """Refuse grids whose neighbouring knots are equal in the network's type, before the first fit, not at the last."""
    knots = uniform_knots(domain, recipe.fit.grids[-1], recipe.network.degree)
    meeting = (torch.diff(knots, dim=1) <= 0).any(dim=1)
    if meeting.any():
        name = dataset.features[int(meeting.nonzero()[0])].name
        raise DataError(
            f"{dataset.source}: column {quoted(name)} is too narrow for {recipe.fit.grids[-1]} intervals without "
            'scaling; wanted [inputs] scaling = "minmax" or fewer intervals'
        )


def _check_magnitude(dataset: Dataset, low: Numbers, high: Numbers) -> None:
    for feature, smallest, largest in zip(dataset.features, low, high, strict=True):
        if flaw := input_flaw(float(smallest), float(largest)):
            raise DataError(f"{dataset.source}: column {quoted(feature.name)} holds {flaw}")

"""From a dataset to tensors: the transforms of inputs and outputs, the samples, and a new network."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model import KAN, KANConfig, with_monotone_inputs
from kan_model.network.transform import Affine, Exponential, InputTransform, OutputTransform, Softmax
from kan_model.splines.bspline import uniform_knots
from training.data.dataset import Dataset
from training.data.encoding import Numbers
from training.data.float32_limits import input_flaw
from training.data.objective.loss import best_constant
from training.data.objective.loss_function import LossFunction
from training.data.samples import Samples
from training.data.split import RowNumbers
from training.errors import DataError, quoted, quoted_list
from training.recipe.config import Recipe

Scaling = Literal["minmax", "standard", "none"]
# Of a normal distribution, in standard deviations.
_QUARTILES_APART = 1.349
_SIGNS = {"up": 1, "down": -1}


def input_transform(dataset: Dataset, scaling: Scaling) -> InputTransform:
    """Imputation, gap inputs and scaling, computed from the training rows; constant features are only centred.

    Raises:
        DataError: float32 arithmetic cannot scale a feature's values.
    """
    x = _append_gaps(dataset, _impute(dataset))[dataset.train]
    low, high = x.min(axis=0), x.max(axis=0)
    constant = _constant_inputs(dataset)
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
        np.array(dataset.gaps, dtype=np.int64) if dataset.gaps else None,
    )


def output_transform(dataset: Dataset) -> OutputTransform:
    """Softmax for a classification; for a regression center and scale of the targets of the training rows.

    They are mean and standard deviation for squared error. For other losses the center is the best constant, and the
    scale does not depend on outliers. On a log scale they are those of the logarithms, and exp is the last step, as it
    is for a loss with a log link. Rows count as their weights say.
    """
    if dataset.task == "classification":
        return Softmax()
    is_log, function = dataset.target_scale == "log", dataset.loss
    y = np.log(dataset.y[dataset.train]) if is_log else dataset.y[dataset.train]
    weights = None if dataset.weights is None else dataset.weights[dataset.train]
    if weights is None:
        center, scale = y.mean(axis=0), y.std(axis=0)
    else:
        center = np.average(y, axis=0, weights=weights)
        scale = np.sqrt(np.average((y - center) ** 2, axis=0, weights=weights))
    if function.name != "squared_error":
        targets, counts = torch.from_numpy(y), None if weights is None else torch.from_numpy(weights)
        center = best_constant(function, targets, counts).numpy()
        scale = np.ones_like(center) if function.has_log_link else _robust_scale(targets, counts, scale)
    is_exp = is_log or function.has_log_link
    return (Exponential if is_exp else Affine)(center.astype(np.float32), scale.astype(np.float32))


def fitted_loss(dataset: Dataset, outputs: OutputTransform | None) -> LossFunction:
    """What training minimizes, in the units of the network's outputs."""
    if outputs is None or isinstance(outputs, Softmax):
        return dataset.loss
    return dataset.loss.in_units(outputs.scale)


def _robust_scale(y: Tensor, weights: Tensor | None, deviation: Numbers) -> Numbers:
    """The standard deviation of a normal distribution with the same quartiles; the deviation where these are equal."""
    low, high = (best_constant(LossFunction("quantile", share), y, weights).numpy() for share in (0.25, 0.75))
    scale: Numbers = np.where(high > low, np.maximum((high - low) / _QUARTILES_APART, 1e-6 * deviation), deviation)
    return scale


def new_network(
    dataset: Dataset,
    recipe: Recipe,
    transform: InputTransform,
    *,
    seed: int | None = None,
    grid_size: int | None = None,
) -> KAN:
    """A new network whose domains are the ranges of the training rows. Constant features have no edges.

    Args:
        dataset: The table.
        recipe: Shape of the network, grids, and seed.
        transform: Imputation and scaling.
        seed: Another seed than the recipe's, for a further network of the same shape.
        grid_size: Intervals of each spline; None: the recipe's first grid.

    Raises:
        DataError: a column is too narrow for the finest grid, a grid has more intervals than there are training rows,
            or the table does not allow monotone inputs.
    """
    _check_rows(dataset, recipe)
    dtype = getattr(torch, recipe.network.dtype)
    scaled = transform(torch.from_numpy(dataset.x[dataset.train]))
    low, high = scaled.min(dim=0).values, scaled.max(dim=0).values
    constant = torch.from_numpy(_constant_inputs(dataset))
    low, high = torch.where(constant, -1.0, low), torch.where(constant, 1.0, high)
    _check_knots(dataset, torch.stack([low, high], dim=1).to(dtype), recipe)
    outputs = len(dataset.classes) or dataset.y.shape[1]
    config = KANConfig(
        width=(scaled.shape[1], *recipe.network.hidden, outputs),
        grid_size=recipe.fit.grids[0] if grid_size is None else grid_size,
        degree=recipe.network.degree,
        outside=recipe.network.outside,
        domain=tuple((float(a), float(b)) for a, b in zip(low, high, strict=True)),
        initialization=recipe.network.initialization,
        arity=recipe.network.arity,
    )
    kan = KAN(config, seed=recipe.fit.seed if seed is None else seed, dtype=dtype)
    if recipe.network.monotone:
        kan = with_monotone_inputs(kan, _input_directions(recipe, dataset), _output_directions(dataset, outputs))
    kan.layers[0].edge_mask[:, constant] = 0
    return kan


def _input_directions(recipe: Recipe, dataset: Dataset) -> tuple[int, ...]:
    """For each input of the network 1 (up), −1 (down) or 0 (free). The factor of scaling is positive: it turns none."""
    asked, columns = recipe.network.monotone, [column.name for column in dataset.columns]
    if strange := [name for name in asked if name not in columns]:
        raise DataError(
            f"{dataset.source}: [network] monotone has {quoted(strange[0])}, which is no input; wanted some of "
            f"{quoted_list(columns)}"
        )
    if len(dataset.classes) > 2:
        raise DataError(
            f"{dataset.source}: [network] monotone: the target has {len(dataset.classes)} classes; wanted a regression "
            "or two classes, because the probabilities of three cannot all rise"
        )
    return (*(_SIGNS.get(asked.get(each.column, ""), 0) for each in dataset.features), *(0 for _ in dataset.gaps))


def _output_directions(dataset: Dataset, outputs: int) -> tuple[int, ...]:
    """How each output moves where "up" is asked for: of two classes the probability of the second rises."""
    return (-1, 1) if dataset.classes else (1,) * outputs


def samples(
    dataset: Dataset,
    rows: RowNumbers,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    dtype: torch.dtype,
) -> Samples:
    """The rows with imputed and scaled inputs, scaled targets, and weights of mean 1, in the network's type."""
    raw = torch.from_numpy(dataset.x[rows])
    x = (raw if inputs is None else inputs(raw)).to(dtype)
    y = torch.from_numpy(dataset.y[rows])
    if isinstance(outputs, Exponential) and dataset.loss.has_log_link:
        y = (y / torch.exp(torch.from_numpy(outputs.center).double())).to(dtype)
    elif isinstance(outputs, Exponential):
        y, outputs = torch.log(y), outputs.logarithm
    if isinstance(outputs, Affine):
        y = ((y - torch.from_numpy(outputs.center)) / torch.from_numpy(outputs.scale)).to(dtype)
    return Samples(x, y, row_weights(dataset, rows, dtype))


def row_weights(dataset: Dataset, rows: RowNumbers, dtype: torch.dtype) -> Tensor | None:
    """The weights of rows in the loss: those of the rows times those of their classes; None if all count alike."""
    if len(rows) == 0 or (dataset.weights is None and not dataset.class_weights):
        return None
    weights = np.ones(len(rows)) if dataset.weights is None else dataset.weights[rows]
    if dataset.class_weights:
        weights = weights * np.array(dataset.class_weights)[dataset.y[rows]]
    return torch.from_numpy(weights / weights.mean()).to(dtype)


def feature_ranges(dataset: Dataset) -> tuple[Numbers, Numbers]:
    """The smallest and largest value of each feature in the training rows, after imputation, in raw units."""
    x = _impute(dataset)[dataset.train]
    return x.min(axis=0), x.max(axis=0)


def _impute(dataset: Dataset) -> Numbers:
    imputed = np.array([np.nan if value is None else value for value in dataset.imputed])
    return np.where(np.isnan(dataset.x), imputed, dataset.x)


def _append_gaps(dataset: Dataset, x: Numbers) -> Numbers:
    """The rows with the gap inputs behind the features."""
    return np.concatenate([x, np.isnan(dataset.x[:, list(dataset.gaps)])], axis=1) if dataset.gaps else x


def _constant_inputs(dataset: Dataset) -> NDArray[np.bool_]:
    """Bool [network inputs]; a gap input always varies."""
    return np.array([*dataset.constant, *(False for _ in dataset.gaps)])


def _check_rows(dataset: Dataset, recipe: Recipe) -> None:
    """Refuse a grid with more intervals than training rows: the rows cannot determine its splines.

    The training part counts, also where the rows of the validation part train too: [adapt] and scaling follow it.
    """
    finest, rows = recipe.fit.grids[-1], len(dataset.train)
    if finest > rows:
        raise DataError(
            f"{dataset.source}: [fit] grids has {finest} intervals for {rows} rows of the training part; wanted at "
            f"most {rows}, or more rows"
        )


def _check_knots(dataset: Dataset, domain: Tensor, recipe: Recipe) -> None:
    """Refuse grids whose neighbouring knots are equal in the network's type, before the first fit, not at the last."""
    knots = uniform_knots(domain, recipe.fit.grids[-1], recipe.network.degree)
    meeting = (torch.diff(knots, dim=1) <= 0).any(dim=1)
    if meeting.any():
        name = dataset.input_names[int(meeting.nonzero()[0])]
        raise DataError(
            f"{dataset.source}: column {quoted(name)} is too narrow for {recipe.fit.grids[-1]} intervals without "
            'scaling; wanted [inputs] scaling = "minmax" or fewer intervals'
        )


def _check_magnitude(dataset: Dataset, low: Numbers, high: Numbers) -> None:
    for name, smallest, largest in zip(dataset.input_names, low, high, strict=True):
        if flaw := input_flaw(float(smallest), float(largest)):
            raise DataError(f"{dataset.source}: column {quoted(name)} holds {flaw}")

"""From a dataset of images to the scaling of its pixels, and a new network on images."""

import numpy as np
import torch

from kan_model.network.transform import InputTransform
from kan_model.vision.augmentation import Augmentation
from kan_model.vision.geometry import Convolution, ImageShape
from kan_model.vision.image_kan import ImageConfig, ImageKAN
from training.data.dataset import Dataset
from training.data.preparation import Scaling, input_transform
from training.errors import DataError
from training.recipe.config import Recipe
from training.recipe.images import check_unrolled


def image_shape(recipe: Recipe) -> ImageShape:
    """Channels, height and width."""
    assert recipe.image is not None
    return recipe.image.channels, recipe.image.height, recipe.image.width


def image_transform(dataset: Dataset, scaling: Scaling, shape: ImageShape) -> InputTransform:
    """Imputation and scaling, the same for all pixels of a channel, because a convolution reads them alike.

    "minmax" makes the channel's smallest value 0, which is the value of the padding, and its largest 1.

    Raises:
        DataError: another number of features than pixels, or what :func:`input_transform` refuses.
    """
    channels, height, width = shape
    if len(dataset.features) != channels * height * width:
        raise DataError(
            f"{dataset.source}: {len(dataset.features)} columns for [image] of {channels} · {height} · {width} pixels; "
            "wanted as many columns as pixels"
        )
    single = input_transform(dataset, scaling)
    x = dataset.x[dataset.train].reshape(-1, channels, height * width)
    low, high = np.nanmin(x, axis=(0, 2)), np.nanmax(x, axis=(0, 2))
    if scaling == "minmax":
        center, extent = low, high - low
    elif scaling == "standard":
        center, extent = np.nanmean(x, axis=(0, 2)), np.nanstd(x, axis=(0, 2))
    else:
        center, extent = np.zeros(channels), np.ones(channels)
    scale = 1 / np.where(extent > 0, extent, 1.0)
    spread = [np.repeat(each, height * width).astype(np.float32) for each in (center, scale)]
    return InputTransform(spread[0], spread[1], single.imputed)


def augmentation(recipe: Recipe) -> Augmentation | None:
    """How the images of each epoch differ from those of the table; None: not at all."""
    if (section := recipe.augment) is None:
        return None
    return Augmentation(image_shape(recipe), section.shift, section.rotation, section.zoom)


def new_image_network(dataset: Dataset, recipe: Recipe, transform: InputTransform) -> ImageKAN:
    """A new network on images; the first domain holds the training pixels and the padding.

    Raises:
        DataError: the equal flat network would be too large.
    """
    network, answers = recipe.network, len(dataset.classes) or dataset.y.shape[1]
    assert recipe.image is not None
    try:
        check_unrolled(recipe.image, network, recipe.fit, answers=answers)
    except ValueError as error:
        raise DataError(f"{dataset.source}: {error}") from None
    dtype = getattr(torch, network.dtype)
    scaled = transform(torch.from_numpy(dataset.x[dataset.train]))
    low, high = min(float(scaled.min()), 0.0), max(float(scaled.max()), 0.0)
    config = ImageConfig(
        image_shape(recipe),
        tuple(Convolution(**section.model_dump()) for section in network.convolutions),
        (*network.hidden, answers),
        grid_size=recipe.fit.grids[0],
        degree=network.degree,
        outside=network.outside,
        domain=(low, high if high > low else low + 1.0),
        initialization=network.initialization,
        arity=network.arity,
    )
    return ImageKAN(config, seed=recipe.fit.seed, dtype=dtype)

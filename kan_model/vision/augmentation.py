"""Images that differ a little in each epoch: moved, turned and zoomed at random."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from kan_model.vision.geometry import ImageShape


@dataclass(frozen=True)
class Augmentation:
    """How far an image may change. Each image draws its own numbers, evenly between both ends.

    Pixels between others are interpolated by cubic convolution (Keys 1981). Linear interpolation would blur small
    images, and a network would train on other images than it is asked about. What comes in from outside is 0, as the
    padding of a convolution.

    Attributes:
        shape: Channels, height and width.
        shift: Pixels, down or up and to a side.
        rotation: Degrees around the centre.
        zoom: 0.1: from 1/1.1 of the size to 1.1 of it.

    Raises:
        ValueError: a number below 0, or one that is not finite.
    """

    shape: ImageShape
    shift: float = 0.0
    rotation: float = 0.0
    zoom: float = 0.0

    def __post_init__(self) -> None:
        for name in ("shift", "rotation", "zoom"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"{name} is {value}; wanted a finite number, 0 or more")

    def __call__(self, x: Tensor, generator: np.random.Generator) -> Tensor:
        """New rows ``[rows, pixels]`` of rows of pixels.

        Args:
            x: ``[rows, pixels]``, scaled.
            generator: Makes the random numbers.
        """
        rows, (_, height, width) = len(x), self.shape
        right, down, turn, size = torch.from_numpy(generator.uniform(-1, 1, (4, rows))).to(x)
        angle, scale = turn * math.radians(self.rotation), torch.exp(-size * math.log1p(self.zoom))
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        # affine_grid counts from -1 to 1 on each axis, whatever the number of pixels.
        across = torch.stack([cos, -sin * (height / width), right * (2 * self.shift / width)], dim=1)
        along = torch.stack([sin * (width / height), cos, down * (2 * self.shift / height)], dim=1)
        images = x.view(rows, *self.shape)
        places = affine_grid(torch.stack([across, along], dim=1), list(images.shape), align_corners=False)
        moved = grid_sample(images, places, mode="bicubic", align_corners=False).view_as(x)
        # Cubic interpolation overshoots at edges.
        return moved.clamp(min(float(x.min()), 0.0), max(float(x.max()), 0.0))

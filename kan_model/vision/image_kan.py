"""A network on images: convolutions, then a flat KAN."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kan_model.network.initialization import Initialization
from kan_model.network.layer import Outside
from kan_model.network.network import KAN, Interval, KANConfig, Level, parameter_count
from kan_model.vision.convolution import ConvolutionLayer, new_convolution
from kan_model.vision.geometry import Convolution, ImageShape


@dataclass(frozen=True)
class ImageConfig:
    """Shape and initial values of a new :class:`ImageKAN`.

    Attributes:
        shape: Channels, height and width of an image.
        convolutions: The convolutions, first one first; at least one.
        levels: Nodes per level behind the convolutions: (10,) or (32, 10).
        grid_size: Number of intervals of every spline.
        degree: Degree of the splines, 1 to 5.
        outside: The value of a spline beyond its domain.
        domain: The domain of the first convolution's splines.
        hidden_domain: The domain of all further splines.
        noise: As in :class:`kan_model.KANConfig`.
        initialization: As in :class:`kan_model.KANConfig`.
        arity: As in :class:`kan_model.KANConfig`.
    """

    shape: ImageShape
    convolutions: tuple[Convolution, ...]
    levels: tuple[Level, ...]
    grid_size: int = 5
    degree: int = 3
    outside: Outside = "clamp"
    domain: Interval = (-1.0, 1.0)
    hidden_domain: Interval = (-1.0, 1.0)
    noise: float = 0.1
    initialization: Initialization = "paper"
    arity: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers that make no network.

        Raises:
            ValueError: no convolutions, or one that does not fit its images; what :class:`kan_model.KANConfig` refuses.
        """
        if not self.convolutions:
            raise ValueError("no convolutions; wanted at least one")
        if min(self.shape) < 1:
            raise ValueError(f"shape is {self.shape}; wanted channels, height and width of 1 or more")
        self.head()

    @property
    def shapes(self) -> tuple[ImageShape, ...]:
        """The shape of the image, and that behind each convolution."""
        found = [self.shape]
        for index, convolution in enumerate(self.convolutions):
            try:
                found.append(convolution.shape_after(found[-1]))
            except ValueError as error:
                raise ValueError(f"convolution {index}: {error}") from None
        return tuple(found)

    def head(self) -> KANConfig:
        """The config of the flat network behind the convolutions."""
        channels, height, width = self.shapes[-1]
        return KANConfig(
            (channels * height * width, *self.levels),
            grid_size=self.grid_size,
            degree=self.degree,
            outside=self.outside,
            domain=self.hidden_domain,
            hidden_domain=self.hidden_domain,
            noise=self.noise,
            initialization=self.initialization,
            arity=self.arity,
        )


class ImageKAN(nn.Module):
    """Convolutions and a flat KAN. ``ImageKAN(config, seed=...)`` has the config's random start.

    Attributes:
        shape: Channels, height and width of an image.
        convolutions: The convolutions, first one first.
        head: The flat network. It reads pixel after pixel, row by row, all channels of a pixel together.
    """

    def __init__(self, config: ImageConfig, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.shape = config.shape
        layers = [
            new_convolution(
                convolution,
                shape,
                generator,
                grid_size=config.grid_size,
                degree=config.degree,
                outside=config.outside,
                domain=config.domain if index == 0 else config.hidden_domain,
                next_domain=config.hidden_domain,
                initialization=config.initialization,
                noise=config.noise,
                dtype=dtype,
            )
            for index, (convolution, shape) in enumerate(zip(config.convolutions, config.shapes, strict=False))
        ]
        self.convolutions: Sequence[ConvolutionLayer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.head = KAN(config.head(), seed=seed + 1, dtype=dtype)

    @classmethod
    def of_parts(cls, shape: ImageShape, convolutions: Sequence[ConvolutionLayer], head: KAN) -> "ImageKAN":
        """A network of existing parts, which it shares.

        Raises:
            ValueError: parts that do not fit together.
        """
        image = cls.__new__(cls)
        nn.Module.__init__(image)
        image.shape, image.head = shape, head
        image.convolutions = nn.ModuleList(convolutions)  # type: ignore[assignment]
        for layer, (channels, *_) in zip(convolutions, image.shapes, strict=False):
            if layer.edges.inputs != channels:
                raise ValueError(f"a convolution reads {layer.edges.inputs} channels of {channels}")
        channels, height, width = image.shapes[-1]
        if channels * height * width != head.width[0]:
            raise ValueError(f"the head reads {head.width[0]} nodes; wanted {channels} · {height} · {width}")
        return image

    @property
    def shapes(self) -> tuple[ImageShape, ...]:
        """The shape of the image, and that behind each convolution."""
        found = [self.shape]
        for layer in self.convolutions:
            found.append(layer.geometry.shape_after(found[-1]))
        return tuple(found)

    @property
    def features(self) -> int:
        """Number of values of an image."""
        channels, height, width = self.shape
        return channels * height * width

    @property
    def outputs(self) -> int:
        """Number of answers of an image."""
        return self.head.width[-1]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        return self.head.dtype

    def forward(self, x: Tensor) -> Tensor:
        """Answers ``[rows, outputs]`` for images ``[rows, channels, height, width]``, or for the same as flat rows.

        Raises:
            ValueError: an x of another shape.
        """
        x = self.as_images(x)
        for layer in self.convolutions:
            x = layer(x)
        answers: Tensor = self.head(flat(x))
        return answers

    def layer_inputs(self, x: Tensor) -> list[Tensor]:
        """What each layer reads, convolutions first: ``[pixels, channels]``, then the head's ``[rows, nodes]``."""
        x, found = self.as_images(x), []
        for layer in self.convolutions:
            found.append(layer.pixel_rows(x))
            x = layer(x)
        nodes = flat(x)
        for each in self.head.layers:
            found.append(nodes)
            nodes = each(nodes)
        return found

    def as_images(self, x: Tensor) -> Tensor:
        """``[rows, channels, height, width]`` of such images, or of rows of pixels.

        Raises:
            ValueError: an x of another shape.
        """
        if x.ndim == 4 and x.shape[1:] == self.shape:
            return x
        if x.ndim != 2 or x.shape[1] != self.features:
            raise ValueError(f"x has shape {list(x.shape)}; wanted [rows, {self.features}] or {['rows', *self.shape]}")
        return x.view(-1, *self.shape)


def flat(images: Tensor) -> Tensor:
    """``[rows, height · width · channels]`` of ``[rows, channels, height, width]``: the order of the head's inputs."""
    return images.permute(0, 2, 3, 1).flatten(1)


def image_parameter_count(image: ImageKAN) -> int:
    """The number of trainable parameters; an edge between two groups has none."""
    edges = sum(parameter_count(KAN.of_layers([layer.edges])) for layer in image.convolutions)
    return edges + parameter_count(image.head)

"""The numbers of a convolution: kernel, stride, padding, groups, pooling, and the sizes that follow from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Channels, height, width.
ImageShape = tuple[int, int, int]
Pool = Literal["none", "average", "max"]
# Coefficients of the largest equal flat network that is built: 64 MiB in float64.
MOST_UNROLLED = 2**23


@dataclass(frozen=True)
class Convolution:
    """A convolution and the pooling behind it.

    Attributes:
        channels: Number of channels that it makes.
        kernel: Height and width of a patch.
        stride: Distance of two patches.
        padding: Zeros around the image.
        groups: The channels are cut into this many groups; an output reads one of them.
        pool: What follows: the mean or the largest value of squares that do not overlap.
        pool_size: Height and width of such a square.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1
    pool: Pool = "none"
    pool_size: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers that make no convolution.

        Raises:
            ValueError: a number below 1 (padding: below 0), channels that groups do not divide, an unknown pooling.
        """
        for name in ("channels", "kernel", "stride", "groups", "pool_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; wanted 1 or more")
        if self.padding < 0:
            raise ValueError(f"padding is {self.padding}; wanted 0 or more")
        if self.channels % self.groups:
            raise ValueError(f"channels is {self.channels} and groups {self.groups}; wanted a multiple of groups")
        if self.pool not in ("none", "average", "max"):
            raise ValueError(f'pool is {self.pool!r}; wanted "none", "average" or "max"')

    @property
    def taps(self) -> int:
        """Number of pixels of a patch."""
        return self.kernel**2

    def sizes(self, height: int, width: int) -> tuple[int, int]:
        """Height and width behind the convolution, before the pooling.

        Raises:
            ValueError: the kernel is larger than the padded image.
        """
        found = [(each + 2 * self.padding - self.kernel) // self.stride + 1 for each in (height, width)]
        if min(height, width) + 2 * self.padding < self.kernel:
            raise ValueError(
                f"kernel is {self.kernel}; wanted at most {min(height, width) + 2 * self.padding}, the padded image"
            )
        return found[0], found[1]

    def shape_after(self, shape: ImageShape) -> ImageShape:
        """Channels, height and width behind convolution and pooling.

        Raises:
            ValueError: channels that groups do not divide; a kernel or a pooling that does not fit the image.
        """
        if shape[0] % self.groups:
            raise ValueError(f"an image of {shape[0]} channels and groups = {self.groups}; wanted a multiple of groups")
        height, width = self.sizes(*shape[1:])
        if self.pool == "none":
            return self.channels, height, width
        if height % self.pool_size or width % self.pool_size:
            raise ValueError(
                f"pool_size is {self.pool_size} for {height} × {width} pixels; wanted a number that divides both"
            )
        return self.channels, height // self.pool_size, width // self.pool_size


def unrolled_coefficients(
    shape: ImageShape,
    convolutions: Sequence[Convolution],
    levels: Sequence[int | tuple[int, int]],
    arity: int,
    basis: int,
) -> int:
    """The number of coefficients of the equal flat network, those of pruned edges included, without building any.

    Args:
        shape: Channels, height and width of an image.
        convolutions: The convolutions.
        levels: Nodes behind them, as in :class:`kan_model.KANConfig`.
        arity: Number of factors of a node that multiplies.
        basis: Functions of a spline: grid size + degree.

    Raises:
        ValueError: a convolution that does not fit its images.
    """
    reads, count = math.prod(shape), 0
    for convolution in convolutions:
        shape = convolution.shape_after(shape)
        count += reads * math.prod(shape)
        reads = math.prod(shape)
    for level in levels:
        plain, multiplying = (level, 0) if isinstance(level, int) else level
        count += reads * (plain + arity * multiplying)
        reads = plain + multiplying
    return count * basis

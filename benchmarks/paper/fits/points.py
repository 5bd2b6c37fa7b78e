"""Training, validation and test points of a function."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.data.samples import Samples
from training.fitting.evaluation import answers


@dataclass(frozen=True)
class Target:
    """A function to learn.

    Attributes:
        name: Of the function.
        ranges: Lower and upper end of each variable.
        function: From the variables, each ``[rows, 1]``, to values ``[rows, 1]``.
    """

    name: str
    ranges: tuple[tuple[float, float], ...]
    function: Callable[..., Tensor]

    def values(self, x: Tensor) -> Tensor:
        """Values ``[rows, 1]`` at scaled inputs ``[rows, variables]``, each in [-1, 1]."""
        low, high = torch.tensor(self.ranges, dtype=torch.float64).T
        return self.function(*(low + (high - low) * (x + 1) / 2).split(1, dim=1))

    def draw(self, rows: int, seed: int) -> tuple[Tensor, Tensor]:
        """Scaled inputs ``[rows, variables]``, uniform on [-1, 1], and the values there."""
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(rows, len(self.ranges), generator=generator, dtype=torch.float64) * 2 - 1
        return x, self.values(x)


@dataclass(frozen=True)
class Points:
    """The points of a run.

    Attributes:
        train: Scaled targets.
        validation: Targets scaled as those of ``train``.
        test: Likewise.
        scale: Standard deviation of the training targets: a scaled error times this is in the target's unit.
    """

    train: Samples
    validation: Samples
    test: Samples
    scale: float

    @property
    def inputs(self) -> int:
        """Number of variables."""
        return self.train.x.shape[1]


def points_of(target: Target, seed: int, train_rows: int, judging_rows: int) -> Points:
    """Three sets of points that share no point; validation and test have ``judging_rows`` each."""
    sizes = (train_rows, judging_rows, judging_rows)
    train, *others = (target.draw(rows, 3 * seed + part) for part, rows in enumerate(sizes))
    mean, scale = train[1].mean(), train[1].std()
    sets = [Samples(x, (y - mean) / scale) for x, y in (train, *others)]
    return Points(sets[0], sets[1], sets[2], float(scale))


def scaled_rmse(network: nn.Module, rows: Samples) -> float:
    """Root mean square error in standard deviations of the target."""
    return float((answers(network, rows.x) - rows.y).square().mean().sqrt())

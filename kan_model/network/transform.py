"""The transforms around a KAN: imputation and scaling of inputs; softmax, scaling or exp of outputs.

Training (torch) and the graph (ONNX) use the same numbers, so they are stored as float32.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class InputTransform:
    """(x − center)·scale, after NaN is replaced by ``imputed``.

    Attributes:
        center: ``[features]``, in raw units.
        scale: ``[features]``, in 1 / raw units.
        imputed: ``[features]``, in raw units; NaN for a feature whose gaps stay NaN. None: no feature is imputed.
    """

    center: Vector
    scale: Vector
    imputed: Vector | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Network inputs ``[rows, features]`` for raw features, in the type of ``x``."""
        if self.imputed is not None:
            x = torch.where(torch.isnan(x), torch.from_numpy(self.imputed).to(x), x)
        return (x - torch.from_numpy(self.center).to(x)) * torch.from_numpy(self.scale).to(x)


@dataclass(frozen=True)
class Softmax:
    """Class probabilities from the network's outputs."""

    def __call__(self, y: Tensor) -> Tensor:
        """Probabilities ``[rows, classes]`` for logits."""
        return torch.softmax(y, dim=1)


@dataclass(frozen=True)
class Affine:
    """y·scale + center: the network's outputs in raw units.

    Attributes:
        center: ``[outputs]``, in raw units.
        scale: ``[outputs]``, in raw units.
    """

    center: Vector
    scale: Vector

    def __call__(self, y: Tensor) -> Tensor:
        """Raw values ``[rows, outputs]`` for network outputs."""
        return y * torch.from_numpy(self.scale).to(y) + torch.from_numpy(self.center).to(y)


@dataclass(frozen=True)
class Exponential:
    """exp(y·scale + center): the positive answers of a network that gives their logarithms.

    Attributes:
        center: ``[outputs]``, a logarithm of the raw unit.
        scale: ``[outputs]``, a factor of logarithms.
    """

    center: Vector
    scale: Vector

    @property
    def logarithm(self) -> Affine:
        """The transform without its exp: the logarithms of the answers."""
        return Affine(self.center, self.scale)

    def __call__(self, y: Tensor) -> Tensor:
        """Raw values ``[rows, outputs]``, above 0, for network outputs."""
        return torch.exp(self.logarithm(y))


OutputTransform = Softmax | Affine | Exponential

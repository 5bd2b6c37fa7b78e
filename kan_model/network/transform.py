"""The transforms around a KAN: imputation and scaling of inputs; softmax, scaling or exp of outputs.

Training (torch) and the graph (ONNX) use the same numbers, so they are stored as float32.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kan_model.network.layer import KANLayer

Vector = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class InputTransform:
    """(x − center)·scale, after NaN is replaced by ``imputed`` and the gap inputs are appended.

    A gap input is 1 where its feature is NaN, else 0. For example, 2 features of which the second has a gap input make
    3 network inputs: the row [5, NaN] becomes [5, imputed, 1] before it is scaled.

    Attributes:
        center: ``[inputs]``, in raw units: the features, then the gap inputs.
        scale: ``[inputs]``, in 1 / raw units.
        imputed: ``[features]``, in raw units; NaN for a feature whose gaps stay NaN. None: no feature is imputed.
        gaps: int64 ``[gap inputs]``, the places of the features that have a gap input; these features are imputed.
            None: no feature has one, and the network has an input for each feature.
    """

    center: Vector
    scale: Vector
    imputed: Vector | None = None
    gaps: Places | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Network inputs ``[rows, inputs]`` for raw features ``[rows, features]``, in the type of ``x``."""
        missing = torch.isnan(x)
        if self.imputed is not None:
            x = torch.where(missing, torch.from_numpy(self.imputed).to(x), x)
        if self.gaps is not None:
            x = torch.cat([x, missing[:, torch.from_numpy(self.gaps)].to(x)], dim=1)
        return (x - torch.from_numpy(self.center).to(x)) * torch.from_numpy(self.scale).to(x)


def count_features(network_inputs: int, transform: InputTransform | None) -> int:
    """Features of a raw row: the network's inputs without the gap inputs."""
    return network_inputs - (0 if transform is None or transform.gaps is None else len(transform.gaps))


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


@dataclass(frozen=True)
class Intervals:
    """Bounds around the answers of a regression: answer ± w, with w = half_width · e^scale(inputs).

    Example: half_width 2 and a scale of log 1.5 for some row give the answer 10 the bounds 7 and 13.

    Attributes:
        half_width: ``[outputs]``, above 0; without ``scale`` it is w itself.
        kind: ``linear``: w is in the unit of the answers. ``positive``: likewise, and no bound is below 0. ``log``: w
            is a difference of logarithms, so the bounds are answer · e^-w and answer · e^w.
        scale: A layer from the inputs of the network to the logarithm of each output's scale; None: all rows have the
            same w.
    """

    half_width: Vector
    kind: Literal["linear", "positive", "log"] = "linear"
    scale: KANLayer | None = None

    def __call__(self, answers: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The lower and the upper bounds, ``[rows, outputs]`` each.

        Args:
            answers: ``[rows, outputs]``, in raw units.
            x: ``[rows, inputs]``, what the network reads.
        """
        width = torch.from_numpy(self.half_width).to(answers).expand_as(answers)
        if self.scale is not None:
            width = width * torch.exp(self.log_scale(x).to(answers))
        if self.kind == "log":
            factor = torch.exp(width)
            return answers / factor, answers * factor
        lower = answers - width
        return lower.clamp(min=0.0) if self.kind == "positive" else lower, answers + width

    def log_scale(self, x: Tensor) -> Tensor:
        """The logarithm of each output's scale, ``[rows, outputs]``; 0 without a scale."""
        if self.scale is None:
            return x.new_zeros(len(x), len(self.half_width))
        with torch.no_grad():
            found: Tensor = self.scale(x.to(self.scale.base_weight))
        return found

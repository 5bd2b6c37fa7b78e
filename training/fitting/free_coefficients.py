"""A network of which only some spline coefficients can change."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from kan_model import KAN
from kan_model.splines.rising import ordered_between
from training.fitting.on_rows import OnRows, SomeOnRows, on_rows


class FreeCoefficients(nn.Module):
    """The network in float64 as a function of the free coefficients, which are one vector of parameters.

    Frozen numbers are not parameters, so the optimizer cannot change them. On an edge with a direction a free
    coefficient stays between the frozen ones beside it.

    Args:
        kan: The network; it is copied.
        free: For each layer bool ``[outputs, inputs, grid_size + degree]``: the free coefficients.
    """

    def __init__(self, kan: KAN, free: Sequence[Tensor]) -> None:
        super().__init__()
        self._frozen = copy.deepcopy(kan).double().requires_grad_(False)
        self._free = tuple(free)
        # Found once: finding them waits for a GPU to finish its work.
        self._places = [mask.flatten().nonzero()[:, 0] for mask in free]
        present = [layer.coefficients[mask] for layer, mask in zip(self._frozen.layers, free, strict=True)]
        self.values = nn.Parameter(torch.cat(present))

    def forward(self, x: Tensor) -> Tensor:
        """The answers ``[rows, outputs]`` to ``[rows, inputs]``."""
        names = (f"layers.{index}.coefficients" for index in range(len(self._free)))
        outputs: Tensor = functional_call(self._frozen, dict(zip(names, self._coefficients(), strict=True)), (x,))
        return outputs

    def on_rows(self, x: Tensor) -> OnRows:
        """For Levenberg–Marquardt: the network on rows ``[rows, inputs]``.

        Raises:
            ValueError: edges with a direction, at whose bounds the derivatives that it needs are 0.
        """
        if any(layer.directions is not None for layer in self._frozen.layers):
            raise ValueError("levenberg-marquardt: not where the model is monotone; wanted adam or lbfgs")
        pairs = zip(self._frozen.layers, self._coefficients(), strict=True)
        layers = [layer.changed(coefficients=found.detach()) for layer, found in pairs]
        kan = KAN.of_layers(layers).requires_grad_(False)
        for layer in layers:
            layer.get_parameter("coefficients").requires_grad_(True)
        is_free = torch.cat([mask.flatten() for mask in self._free])
        return SomeOnRows(on_rows(kan, x), is_free.nonzero()[:, 0], "values")

    def network_like(self, kan: KAN) -> KAN:
        """The network in the type of the original ``kan``, with all frozen numbers copied from it.

        Raises:
            ValueError: a fitted coefficient is not finite.
        """
        layers = []
        for layer, mask, fitted in zip(kan.layers, self._free, self._coefficients(), strict=True):
            before = layer.coefficients.detach()
            layers.append(layer.changed(coefficients=torch.where(mask, fitted.detach().to(before), before)))
        result = kan.with_layers(layers)
        check_finite(result)
        return result

    def _coefficients(self) -> list[Tensor]:
        parts = torch.split(self.values, [len(places) for places in self._places])
        layers = zip(self._frozen.layers, self._places, parts, strict=True)
        changed = [
            layer.coefficients.flatten().index_copy(0, places, part).view_as(layer.coefficients)
            for layer, places, part in layers
        ]
        return [
            found if layer.directions is None else ordered_between(found, mask, layer.directions)
            for layer, mask, found in zip(self._frozen.layers, self._free, changed, strict=True)
        ]


def check_finite(kan: KAN) -> None:
    """Raise a ValueError that names the first parameter with a number that is not finite."""
    for name, parameter in kan.named_parameters():
        if not torch.isfinite(parameter).all():
            raise ValueError(f"{name} of the network has numbers that are not finite; wanted finite numbers")

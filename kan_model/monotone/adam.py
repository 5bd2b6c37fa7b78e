"""AdamW that moves a curve with a direction by its level and its steps, not by one coefficient at a time."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN

# Adam moves every number by up to a learning rate. So on a free edge the difference of two neighbours, which is a step,
# moves by up to two.
_REACH = 2.0


class MonotoneAdamW(AdamW):
    """AdamW whose numbers for an edge with a direction are the mean of its coefficients and half of each step.

    An edge whose curve wants a flat part has steps at their bound, 0. By the rule of
    :mod:`kan_model.splines.rising` a coefficient that passes its neighbour turns a step around and carries all
    coefficients behind it away. Here a step that passes 0 turns around too, with its momentum, but moves the
    coefficients before it as far as those behind it. All other parameters are AdamW's as ever. After each step the
    stored coefficients are in order, so the network is the only place that holds them.

    Args:
        network: The network whose parameters move; without directions this is AdamW.
        groups: As AdamW's ``params``.
        **options: As AdamW's.
    """

    def __init__(self, network: nn.Module, groups: Iterable[Any], **options: Any) -> None:
        super().__init__(groups, **options)
        layers = network.layers if isinstance(network, KAN) else ()
        moving = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        self._layers = [
            layer
            for layer in layers
            if layer.directions is not None and layer.directions.any() and id(_parameter(layer)) in moving
        ]
        with torch.no_grad():
            for layer in self._layers:
                # Gradients by parameters in any order are not those by the coefficients.
                _parameter(layer).copy_(layer.coefficients)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """As AdamW's, without a closure."""
        if closure is not None:
            raise ValueError("a closure; wanted gradients that are there already")
        moved = [layer for layer in self._layers if _parameter(layer).grad is not None]
        for layer in moved:
            _to_steps(layer)
        super().step()
        for layer in moved:
            _to_coefficients(layer, self.state[_parameter(layer)]["exp_avg"])
        return None


def _parameter(layer: KANLayer) -> nn.Parameter:
    """What ``layer.coefficients`` are made from."""
    return dict(layer.named_parameters(recurse=False))["coefficients"]


def _to_steps(layer: KANLayer) -> None:
    """Put levels and steps, and the gradients by them, in the place of the coefficients and theirs."""
    parameter, signs = _parameter(layer), layer.signs.unsqueeze(-1)
    assert parameter.grad is not None
    rising, slopes = parameter * signs, parameter.grad * signs
    steps = torch.cat([rising.mean(dim=-1, keepdim=True), torch.diff(rising) / _REACH], dim=-1)
    # A step moves the mean too, by which the level is held: so it counts the slopes behind it less their usual share.
    total = slopes.sum(dim=-1, keepdim=True)
    share = torch.arange(parameter.shape[-1] - 1, 0, -1).to(parameter) / parameter.shape[-1]
    behind = slopes.flip(-1).cumsum(dim=-1).flip(-1)[..., 1:]
    by_steps = torch.cat([total, _REACH * (behind - share * total)], dim=-1)
    parameter.copy_(torch.where(signs == 0, parameter, steps))
    parameter.grad.copy_(torch.where(signs == 0, parameter.grad, by_steps))


def _to_coefficients(layer: KANLayer, momentum: Tensor) -> None:
    """Turn steps that passed 0 around, with their momentum, and make the coefficients of levels and steps."""
    parameter, signs = _parameter(layer), layer.signs.unsqueeze(-1)
    is_turned = (parameter < 0) & (signs != 0)
    is_turned[..., 0] = False
    momentum.copy_(torch.where(is_turned, -momentum, momentum))
    steps = torch.where(is_turned, -parameter, parameter)
    heights = torch.cat([torch.zeros_like(steps[..., :1]), (_REACH * steps[..., 1:]).cumsum(dim=-1)], dim=-1)
    # The running maximum is for machines that add in parts, whose rounding may lower a sum.
    rising = heights.cummax(dim=-1).values + (steps[..., :1] - heights.mean(dim=-1, keepdim=True))
    parameter.copy_(torch.where(signs == 0, parameter, rising * signs))

"""The constants of a sum of formulas as one constant.

The edges c·f(a·x + b) + d of a sum and its bias have many shares of its constant, and all give the same sum. In float32
they do not: x − 251655.55 + 251655.5 loses the digits of x below 0.016, the spacing of float32 at this size. x − 0.05
keeps them.
"""

from dataclasses import replace

import torch

from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN


def gather_constants(kan: KAN) -> KAN:
    """The same network, with all constants d of the symbolic edges of a sum in its bias.

    Args:
        kan: The network; it is not changed.
    """
    return kan.with_layers([_gathered(layer) for layer in kan.layers])


def _gathered(layer: KANLayer) -> KANLayer:
    if not any(edge.d for edge in layer.symbolic):
        return layer
    total = (
        torch.zeros(layer.sums, dtype=layer.base_weight.dtype) if layer.bias is None else layer.bias.detach().clone()
    )
    for edge in layer.symbolic:
        total[edge.output] += edge.d
    return layer.changed(symbolic=[replace(edge, d=0.0) for edge in layer.symbolic], bias=total)

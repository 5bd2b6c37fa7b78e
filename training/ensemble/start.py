"""The random start of a member: hidden values that fill the domains of the splines that read them."""

import torch
from torch import Tensor

from kan_model import KAN, KANLayer
from kan_model.rows.blocks import answers

# Hidden splines reach this many standard deviations to each side of the mean.
_REACH = 3.0
# The most rows that the standard deviations are taken from.
_ROWS = 4096
_SMALLEST = 1e-6


def standardize(kan: KAN, rows: Tensor) -> KAN:
    """The network with every layer but the last scaled: over the rows its sums have mean 0 and standard deviation 1.

    The splines that read them get the domain [-3, 3]. With the random start alone, the spread of hidden values depends
    on the inputs: where they are nearly constant, most intervals of the hidden splines are never reached.

    Args:
        kan: The network; it is not changed. Its layers have no symbolic edges.
        rows: ``[2 or more rows, inputs]``, imputed and scaled.
    """
    some = rows[:: -(-len(rows) // _ROWS)]
    layers: list[KANLayer] = []
    for index, layer in enumerate(kan.layers):
        if index > 0:
            layer = layer.changed(domain=layer.domain.new_tensor([[-_REACH, _REACH]]).expand(layer.inputs, 2))
        if index < len(kan.layers) - 1:
            layer = _scale(layer, answers(layer.changed(products=None), some))
            some = answers(layer, some)
        layers.append(layer)
    return KAN.of_layers(layers)


def _scale(layer: KANLayer, sums: Tensor) -> KANLayer:
    deviation = sums.std(dim=0, correction=0)
    # A sum without edges stays as it is.
    deviation = torch.where(deviation > _SMALLEST, deviation, torch.ones_like(deviation))
    return layer.changed(
        base_weight=layer.base_weight.detach() / deviation[:, None],
        coefficients=layer.coefficients.detach() / deviation[:, None, None],
        bias=-sums.mean(dim=0) / deviation,
    )

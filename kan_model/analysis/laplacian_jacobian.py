"""The derivatives of answers and Laplacians by the parameters, layer by layer: for least squares on residuals.

A sum is linear in the coefficients of the edges that feed it, and so are its gradient and its Laplacian. With the jet
of the node that an edge reads (h, ∇h, Δh), the derivative of a result r by coefficient b of the edge from i to j is

    ∂r/∂s_j · B_b(h_i)  +  ∂r/∂∇s_j · ∇h_i·B_b'(h_i)  +  ∂r/∂Δs_j · (B_b''(h_i)·|∇h_i|² + B_b'(h_i)·Δh_i)

where s_j is the sum. The factors in front come from one backward pass through the sums alone.
"""

import torch
from torch import Tensor

from kan_model.analysis.laplacian import Jet, inputs_jet, nodes_jet, silu_derivatives, spline_derivatives, sums_jet
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.rows.jacobian import check_free


def laplacian_jacobian(kan: KAN, x: Tensor) -> tuple[Jet, Tensor]:
    """The answer of a network of one output, and the derivatives of its Laplacian by all parameters.

    Args:
        kan: The network: one output, no symbolic edge, no edge with a direction.
        x: ``[rows, inputs]``, of the network's type.

    Returns:
        The answers, and ``[rows, parameters]`` in the order of ``kan.parameters()``, each flattened.

    Raises:
        ValueError: several outputs, a symbolic edge, or an edge with a direction.
    """
    if kan.width[-1] != 1 or any(layer.symbolic_affine is not None for layer in kan.layers):
        raise ValueError(f"the network is {list(kan.width)}; wanted one output and no symbolic edge")
    check_free(kan)
    fed = [inputs_jet(x)]
    sums: list[Jet] = []
    for layer in kan.layers:
        own = sums_jet(_constant(layer), fed[-1])
        if not sums:
            # The graph of the backward pass begins here.
            own = Jet(*(each.requires_grad_() for each in (own.values, own.gradients, own.laplacians)))
        sums.append(own)
        fed.append(nodes_jet(layer, own))
    wanted = [part for own in sums for part in (own.values, own.gradients, own.laplacians)]
    slopes = torch.autograd.grad(fed[-1].laplacians.sum(), wanted, materialize_grads=True)
    with torch.no_grad():
        columns = [
            part
            for index, layer in enumerate(kan.layers)
            for part in _of_layer(layer, fed[index], Jet(*slopes[3 * index : 3 * index + 3]))
        ]
        return fed[-1], torch.cat(columns, dim=1)


def _constant(layer: KANLayer) -> KANLayer:
    """The same layer without gradients: the backward pass goes through its inputs only."""
    frozen = layer.changed()
    for parameter in frozen.parameters():
        parameter.requires_grad_(False)
    return frozen


def _of_layer(layer: KANLayer, fed: Jet, slopes: Jet) -> list[Tensor]:
    """The derivatives by the parameters of a layer, each ``[rows, numbers]``, in the order of its parameters."""
    rows = len(fed.values)
    squares = fed.gradients.square().sum(dim=2)
    # ∂r/∂∇s_j · ∇h_i: [rows, sums, inputs]. Then by the edge's value, first and second derivative.
    mask = layer.edge_mask
    along = slopes.gradients @ fed.gradients.transpose(1, 2)
    by_value = slopes.values.unsqueeze(2) * mask
    by_first = (along + slopes.laplacians.unsqueeze(2) * fed.laplacians.unsqueeze(1)) * mask
    by_second = slopes.laplacians.unsqueeze(2) * squares.unsqueeze(1) * mask
    factors = (by_value, by_first, by_second)
    found = {}
    base = silu_derivatives(fed.values)
    found["base_weight"] = sum(
        (factor * each.unsqueeze(1) for factor, each in zip(factors, base, strict=True)), start=torch.zeros(())
    )
    splines = spline_derivatives(layer, fed.values)
    found["coefficients"] = sum(
        (factor.unsqueeze(3) * each.unsqueeze(1) for factor, each in zip(factors, splines, strict=True)),
        start=torch.zeros(()),
    )
    if layer.bias is not None:
        found["bias"] = slopes.values
    return [found[name].reshape(rows, -1) for name, _ in layer.named_parameters()]

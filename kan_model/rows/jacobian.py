"""The derivatives of a network's answers by its parameters, layer by layer.

A sum is linear in the coefficients of the edges that feed it. So the derivative of answer o by coefficient b of the
edge from i to j is

    ∂answer_o / ∂c_jib = (∂answer_o / ∂sum_j) · B_ib(x_i)

The first factor, the sensitivity, comes from a backward pass through the nodes alone. If a node multiplies, the
sensitivity of a sum is its node's, times the other sums. The second factor is a basis function at the layer's input.

Example: the network of one edge φ(x) = w·silu(x) + c_1·B_1(x) + c_2·B_2(x) has the sensitivity 1 and the derivatives
silu(x), B_1(x) and B_2(x).
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import silu

from kan_model.network.functions import FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.products import slopes
from kan_model.rows.known_rows import KnownRows


def jacobian(kan: KAN, x: Tensor) -> Tensor:
    """The derivatives of the answers by all parameters.

    Args:
        kan: The network; no layer occurs twice in it.
        x: ``[rows, inputs]``, of the network's type.

    Returns:
        ``[rows, outputs, parameters]``, in the order of ``kan.parameters()``, each flattened.
    """
    columns = parameter_columns(dict(kan.named_parameters()))
    found = x.new_empty(len(x), kan.width[-1], sum(parameter.numel() for parameter in kan.parameters()))
    write_jacobian(kan, x, columns, found)
    return found


def parameter_columns(parameters: Mapping[str, Tensor]) -> dict[str, slice]:
    """The place of each parameter in a vector that holds one after another."""
    columns, end = {}, 0
    for name, parameter in parameters.items():
        columns[name] = slice(end, end + parameter.numel())
        end += parameter.numel()
    return columns


def write_jacobian(kan: KAN, rows: Tensor | KnownRows, columns: Mapping[str, slice], found: Tensor) -> Tensor:
    """Write the derivatives of the answers by some of the parameters.

    Args:
        kan: The network; no layer occurs twice in it.
        rows: ``[rows, inputs]``, of the network's type, or such rows prepared for the network.
        columns: The columns of ``found`` for each wanted parameter, by its name in ``kan.named_parameters()``.
        found: ``[rows, outputs, columns]``, of the network's type. The wanted columns are overwritten.

    Returns:
        The answers, ``[rows, outputs]``.

    Raises:
        ValueError: edges with a direction, whose coefficients are no parameters.
    """
    check_free(kan)
    fed, answers = _forward(kan, rows)
    for index, sensitivity in enumerate(_sensitivities(fed[1:], answers)):
        names = kan.layers[index]._parameters
        wanted = {name: f"layers.{index}.{name}" for name in names if f"layers.{index}.{name}" in columns}
        if not wanted:
            continue
        known = rows if index == 0 and isinstance(rows, KnownRows) else None
        layer, x = kan.layers[index], fed[index].detach()
        derivatives = _Derivatives(layer, x, _by_sums(layer, x, sensitivity, known), known)
        for name, full_name in wanted.items():
            derivatives.write(name, found[..., columns[full_name]])
    return answers.detach()


def check_free(kan: KAN) -> None:
    """Refuse edges with a direction: the derivatives by their coefficients are not those by their parameters.

    Raises:
        ValueError: with the first such layer.
    """
    for index, layer in enumerate(kan.layers):
        if layer.directions is not None:
            raise ValueError(f"layer {index} has edges with a direction; wanted free edges, or another optimizer")


def _forward(kan: KAN, rows: Tensor | KnownRows) -> tuple[list[Tensor], Tensor]:
    """The inputs of each layer, and the answers, with a graph that begins behind the first layer."""
    first, *others = kan.layers
    with torch.no_grad():
        nodes = first.nodes_of(rows.first_sums(first)) if isinstance(rows, KnownRows) else first(rows)
    fed = [rows.x if isinstance(rows, KnownRows) else rows]
    nodes.requires_grad_(bool(others))
    with torch.enable_grad():
        for layer in others:
            fed.append(nodes)
            # Without gradients of the parameters the backward pass needs no operands of the products.
            constants = {name: parameter.detach() for name, parameter in layer.named_parameters()}
            nodes = functional_call(layer, constants, (nodes,))
    return fed, nodes


def _sensitivities(nodes: list[Tensor], answers: Tensor) -> Iterator[Tensor]:
    """The derivatives of the answers by the nodes that each layer feeds, ``[rows, outputs, nodes]``."""
    if nodes:
        each = [torch.autograd.grad(one.sum(), nodes, retain_graph=True) for one in answers.unbind(dim=1)]
        yield from (torch.stack(level, dim=1) for level in zip(*each, strict=True))
    own = torch.eye(answers.shape[1], dtype=answers.dtype, device=answers.device)
    yield own.expand(len(answers), -1, -1)


def _by_sums(layer: KANLayer, x: Tensor, sensitivity: Tensor, known: KnownRows | None) -> Tensor:
    """The sensitivity ``[rows, answers, sums]`` for that of the nodes, ``[rows, answers, nodes]``."""
    if layer.products is None:
        return sensitivity
    with torch.no_grad():
        sums = layer.sums_of(x) if known is None else known.first_sums(layer)
    node_of = torch.from_numpy(layer.products.node_of).to(x.device)
    return sensitivity[..., node_of] * slopes(layer.products, sums).unsqueeze(1)


class _Derivatives:
    """The derivatives of the answers by the parameters of one layer.

    Args:
        layer: The layer.
        x: ``[rows, inputs]``, the layer's inputs.
        sensitivity: ``[rows, answers, sums]``, the derivatives by the layer's sums.
        known: The layer's inputs if they are prepared.
    """

    def __init__(self, layer: KANLayer, x: Tensor, sensitivity: Tensor, known: KnownRows | None) -> None:
        self._layer, self._x, self._sensitivity, self._known = layer, x, sensitivity, known
        # [rows, answers, sums, inputs]: by the value of a learned edge.
        self._by_edge = sensitivity.unsqueeze(-1) * layer.edge_mask

    def write(self, name: str, found: Tensor) -> None:
        """Write those by the parameter of this name to ``[rows, answers, numbers of the parameter]``."""
        found = found.view(*found.shape[:2], *self._layer.get_parameter(name).shape)
        if name == "bias":
            found.copy_(self._sensitivity)
        elif name == "base_weight":
            base = silu(self._x) if self._known is None else self._known.base
            torch.mul(self._by_edge, base[:, None, None], out=found)
        elif name == "coefficients":
            basis = self._layer.basis(self._x) if self._known is None else self._known.basis
            torch.mul(self._by_edge.unsqueeze(-1), basis.view(len(basis), 1, 1, *found.shape[3:]), out=found)
        else:
            self._write_symbolic(found)

    def _write_symbolic(self, found: Tensor) -> None:
        """By the a, b, c, d of each symbolic edge: ``[rows, answers, symbolic edges, 4]``."""
        layer = self._layer
        assert layer.symbolic_affine is not None
        edges = zip(layer.symbolic_places, layer.symbolic_functions, layer.symbolic_affine.detach(), strict=True)
        for index, ((output, input_), function, (a, b, c, _)) in enumerate(edges):
            x = self._x[:, input_]
            with torch.enable_grad():
                argument = (a * x + b).requires_grad_()
                value = FUNCTIONS[function].torch(argument)
                (slope,) = torch.autograd.grad(value.sum(), argument)
            by_affine = torch.stack([c * slope * x, c * slope, value.detach(), torch.ones_like(x)], dim=1)
            torch.mul(self._sensitivity[:, :, output, None], by_affine.unsqueeze(1), out=found[:, :, index])

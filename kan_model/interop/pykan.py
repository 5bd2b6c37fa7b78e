"""Import a network of pykan 0.2 (class MultKAN). pykan is not needed: the model's attributes are read by name."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu

from kan_model.interop.parts import InteropError, check_dtype, make_layer, take
from kan_model.interop.pykan_nodes import PykanNetwork, products_of_layer, scale_and_bias
from kan_model.network.functions import ALIASES, FUNCTIONS
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.symbolic_edge import SymbolicEdge

# pykan's function "0" makes the edge the constant d.
_ZERO = "0"
_ATTRIBUTES = (
    "act_fun",
    "symbolic_fun",
    "width",
    "input_id",
    "node_scale",
    "node_bias",
    "subnode_scale",
    "subnode_bias",
)
_PROBE = torch.tensor([-2.3, -0.8, -0.4, 0.3, 0.7, 1.9], dtype=torch.float64)


def from_pykan(model: Any, *, inputs: int | None = None) -> KAN:
    """A KAN that computes the same as a pykan model, in the model's float type, on the CPU.

    The functions are equal inside the grids, on their knots and outside, where splines fall to zero. Masks and all
    scales are multiplied into the weights; the biases of nodes become :attr:`KANLayer.bias`. pykan's
    ``singularity_avoiding`` is taken to be off, its default.

    Args:
        model: A ``kan.KAN``, or any object with its attributes; it is not changed.
        inputs: Number of columns that the network reads, if ``prune_input`` removed some. Columns that the model does
            not read have no edges. None: up to the last column that the model reads.

    Returns:
        The network.

    Raises:
        InteropError: the object is no pykan model, or it has a part that this library lacks. The message names it:
            a node that multiplies and has a bias; an edge with both a spline and a symbolic function; an unknown
            function; a base function other than silu or zero; knots that coincide; numbers that are not finite.

    Source: pykan 0.2.8, kan/MultKAN.py, KANLayer.py, Symbolic_KANLayer.py.
    """
    missing = [name for name in _ATTRIBUTES if not hasattr(model, name)]
    if missing:
        raise InteropError(f"a {type(model).__name__} without {', '.join(missing)}; wanted a network of pykan 0.2")
    # pykan's forward reads these lists. Layers that were added later are in the lists but not in the state dict.
    tensors = dict(model.state_dict())
    for name in ("node_scale", "node_bias", "subnode_scale", "subnode_bias"):
        tensors |= {f"{name}_{index}": tensor for index, tensor in enumerate(getattr(model, name))}
    symbolic = list(model.symbolic_fun) if getattr(model, "symbolic_enabled", True) else None
    for index, layer in enumerate(symbolic or ()):
        _check_functions(layer, f"layer {index}")
    kan = convert(
        PykanNetwork(
            tensors=tensors,
            width=[[int(number) for number in nodes] for nodes in model.width],
            base_functions=[_base_function(layer, index) for index, layer in enumerate(model.act_fun)],
            function_names=None if symbolic is None else [layer.funs_name for layer in symbolic],
            arity=getattr(model, "mult_arity", 2),
        )
    )
    columns = [int(column) for column in model.input_id]
    return KAN.of_layers([_add_unread_columns(kan.layers[0], columns, inputs), *kan.layers[1:]])


def convert(network: PykanNetwork) -> KAN:
    """The network of these parts. Its first layer reads the inputs that pykan's ``prune_input`` kept.

    Raises:
        InteropError: as :func:`from_pykan`.
    """
    layers = [_layer(network, index) for index in range(len(network.width) - 1)]
    try:
        return KAN.of_layers(layers)
    except ValueError as error:
        raise InteropError(str(error)) from error


def _layer(network: PykanNetwork, index: int) -> KANLayer:
    tensors, where = network.tensors, f"layer {index}"
    spline, symbolic = f"act_fun.{index}.", f"symbolic_fun.{index}."
    coefficients = take(tensors, spline + "coef", ("inputs", "outputs", "grid + k"))
    dtype = check_dtype(tensors[spline + "coef"], spline + "coef")
    inputs, outputs, _ = coefficients.shape
    products = products_of_layer(network, index, outputs)
    knots = take(tensors, spline + "grid", (inputs, "grid + 2k + 1"))
    mask, scale_base, scale_spline = (
        take(tensors, spline + name, (inputs, outputs)).T for name in ("mask", "scale_base", "scale_sp")
    )
    scale, bias = scale_and_bias(network, index, outputs, products)
    weight = scale.unsqueeze(1) * mask
    base = torch.zeros_like(weight) if network.base_functions[index] == "zero" else weight * scale_base
    coefficients = (weight * scale_spline).unsqueeze(-1) * coefficients.transpose(0, 1)
    knots, coefficients = _replace_point_grids(knots, coefficients)
    edges: list[SymbolicEdge] = []
    if network.function_names is not None:
        affine = take(tensors, symbolic + "affine", (outputs, inputs, 4))
        factor = take(tensors, symbolic + "mask", (outputs, inputs)) * scale.unsqueeze(1)
        affine = torch.cat([affine[..., :2], affine[..., 2:] * factor.unsqueeze(-1)], dim=-1)
        is_spline = (base != 0) | (coefficients != 0).any(dim=-1)
        edges, constants = _symbolic(where, network.function_names[index], affine, factor != 0, is_spline)
        bias = bias + constants
    return make_layer(
        where,
        knots,
        base,
        coefficients,
        dtype=dtype,
        edge_mask=mask != 0,
        symbolic=edges,
        bias=bias,
        products=products,
    )


def _replace_point_grids(knots: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """Replace a grid whose knots are all equal (pykan makes one for a constant column). Its splines are 0 in pykan."""
    points = (knots == knots[:, :1]).all(dim=1)
    places = torch.arange(knots.shape[1], dtype=knots.dtype) - (knots.shape[1] - 1) / 2
    around = knots[:, :1] + places * knots[:, :1].abs().clamp(min=1)
    spread = torch.where(points.unsqueeze(1), around, knots)
    return spread, torch.where(points.view(1, -1, 1), torch.zeros_like(coefficients), coefficients)


def _symbolic(
    where: str, names: Sequence[Sequence[str]], affine: Tensor, active: Tensor, is_spline: Tensor
) -> tuple[list[SymbolicEdge], Tensor]:
    """The symbolic edges, and the sum of the constant ones at each node. All arguments are [outputs, inputs, …]."""
    if [len(row) for row in names] != [active.shape[1]] * len(active):
        raise InteropError(f"{where}: funs_name does not have one name per edge; wanted {list(active.shape)} names")
    edges, constants = [], torch.zeros(len(active), dtype=affine.dtype)
    for output, input_ in active.nonzero().tolist():
        name = names[output][input_]
        a, b, c, d = affine[output, input_].tolist()
        if name == _ZERO:
            constants[output] += d
            continue
        edge = _edge(where, output, input_)
        function = ALIASES.get(name, name)
        if function not in FUNCTIONS:
            raise InteropError(f"{edge}: its function is {name!r}; wanted one of {', '.join(FUNCTIONS)}")
        if is_spline[output, input_]:
            raise InteropError(f"{edge}: it has a spline and {name}, both unmasked; wanted one of them")
        edges.append(SymbolicEdge(output, input_, function, a, b, c, d))
    return edges, constants


def _add_unread_columns(layer: KANLayer, columns: Sequence[int], inputs: int | None) -> KANLayer:
    """The layer extended to read ``inputs`` columns. The added columns have no edges and the first column's grid."""
    if len(columns) != layer.inputs or len(set(columns)) != len(columns) or min(columns) < 0:
        raise InteropError(f"input_id is {columns}; wanted {layer.inputs} different columns, 0 or more")
    inputs = max(columns) + 1 if inputs is None else inputs
    if inputs <= max(columns):
        raise InteropError(f"inputs is {inputs}; the model reads column {max(columns)}, so wanted more than that")
    source = torch.zeros(inputs, dtype=torch.long)
    source[columns] = torch.arange(layer.inputs)
    there = torch.zeros(inputs, dtype=layer.base_weight.dtype)
    there[columns] = 1
    grid = {"domain": layer.domain[source]} if layer.knots is None else {"knots": layer.knots[source]}
    return layer.changed(
        base_weight=layer.base_weight.detach()[:, source] * there,
        coefficients=layer.coefficients.detach()[:, source] * there.unsqueeze(1),
        edge_mask=layer.edge_mask[:, source] * there,
        symbolic=[replace(edge, input=columns[edge.input]) for edge in layer.symbolic],
        **grid,
    )


def _base_function(layer: Any, index: int) -> str:
    """The name, "silu" or "zero", found from the function's values: pykan loses it in ``prune_input``."""
    points = _PROBE.to(layer.coef)
    with torch.no_grad():
        values = layer.base_fun(points)
    for name, expected in (("silu", silu(points)), ("zero", torch.zeros_like(points))):
        if torch.allclose(values, expected):
            return name
    raise InteropError(f"layer {index}: its base function is {layer.base_fun}; wanted silu or zero")


def _check_functions(layer: Any, where: str) -> None:
    """Refuse functions that do not compute what their names say: pykan's ``swap`` exchanges only the names."""
    points = _PROBE.to(layer.affine)
    for output, input_ in layer.mask.nonzero().tolist():
        name = layer.funs_name[output][input_]
        function = FUNCTIONS.get(ALIASES.get(name, name))
        if function is None and name != _ZERO:
            continue
        expected = function.torch(points) if function else torch.zeros_like(points)
        found = layer.funs[output][input_](points)
        if not torch.allclose(found, expected, equal_nan=True):
            raise InteropError(
                f"{_edge(where, output, input_)}: its function is named {name} and computes something else "
                f"({found[-1]:.6g} for {points[-1]:.6g}); wanted {expected[-1]:.6g}"
            )


def _edge(where: str, output: int, input_: int) -> str:
    return f"{where}, edge from input {input_} to output {output}"

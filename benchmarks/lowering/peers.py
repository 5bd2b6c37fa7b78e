"""The peers, each as the ONNX model that its users get."""

import logging
import warnings
from collections.abc import Sequence

import inkan
import kan as pykan
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from benchmarks.lowering.networks import SEED
from kan_model import KAN, KANLayer


class EfficientKANLayer(nn.Module):
    """A layer as in efficient-kan: Cox–de Boor over an extended grid, and one linear map per branch.

    The layer is written from the formula base_weight·silu(x) + spline_weight·B(x). B follows the Cox–de Boor recursion;
    every basis function falls to zero beyond its knots. The scale of the splines is multiplied into spline_weight.
    """

    grid: Tensor

    def __init__(self, layer: KANLayer) -> None:
        super().__init__()
        self.degree = layer.degree
        self.register_buffer("grid", layer.all_knots())
        self.base_weight = nn.Parameter(layer.base_weight.detach())
        self.spline_weight = nn.Parameter(layer.coefficients.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Node values ``[rows, outputs]`` for inputs ``[rows, inputs]``."""
        base = linear(silu(x), self.base_weight)
        return base + linear(self.b_splines(x).flatten(1), self.spline_weight.flatten(1))

    def b_splines(self, x: Tensor) -> Tensor:
        """Basis functions ``[rows, inputs, grid_size + degree]``."""
        x, t = x.unsqueeze(-1), self.grid
        b = ((x >= t[:, :-1]) & (x < t[:, 1:])).to(x.dtype)
        for k in range(1, self.degree + 1):
            left = (x - t[:, : -(k + 1)]) / (t[:, k:-1] - t[:, : -(k + 1)])
            right = (t[:, k + 1 :] - x) / (t[:, k + 1 :] - t[:, 1:-k])
            b = left * b[:, :, :-1] + right * b[:, :, 1:]
        return b


def efficient_kan(kan: KAN) -> onnx.ModelProto:
    """efficient-kan with the weights of ``kan``; its policy is decay."""
    return _export(nn.Sequential(*(EfficientKANLayer(layer) for layer in kan.layers)), kan.width[0])


def pykan_speed(kan: KAN) -> onnx.ModelProto:
    """The speed mode of pykan (no symbolic branch, nothing kept) with the weights of ``kan``; its policy is decay."""
    first = kan.layers[0]
    network = pykan.MultKAN(
        list(kan.width), grid=first.grid_size, k=first.degree, seed=SEED, save_act=False, auto_save=False
    ).speed()
    for theirs, ours in zip(network.act_fun, kan.layers, strict=True):
        theirs.grid.data = ours.all_knots()
        theirs.coef.data = ours.coefficients.detach().permute(1, 0, 2).contiguous()
        theirs.scale_base.data = ours.base_weight.detach().T.contiguous()
        theirs.scale_sp.data = torch.ones_like(theirs.scale_base)
        theirs.mask.data = ours.edge_mask.T.contiguous()
    return _export(network, kan.width[0])


def inkan_model(kan: KAN, basis_mode: str) -> onnx.ModelProto:
    """Inkan with the weights of ``kan``; its policy is decay.

    Inkan has one uniform grid for all inputs of a layer. For other grids only the number of intervals and the first
    input's domain are kept, so only its time can be compared.

    Args:
        kan: A network of cubic splines.
        basis_mode: "local" (its default: four basis functions scattered among zeros) or "dense" (all of them).
    """
    layers = []
    for ours in kan.layers:
        low, high = ours.domain[0].tolist()
        theirs = inkan.KANLayer(
            ours.inputs,
            ours.outputs,
            ours.grid_size,
            grid_range=(low, high),
            compile_basis=False,
            basis_mode=basis_mode,
        )
        packed = torch.cat([ours.coefficients.detach().flatten(1), ours.base_weight.detach()], dim=1)
        theirs.weight.data = packed
        layers.append(theirs)
    return _export(nn.Sequential(*layers), kan.width[0])


def mlp_of_equal_shape(kan: KAN) -> onnx.ModelProto:
    """An MLP (ReLU) with as many nodes in each layer as ``kan``, random weights."""
    return _mlp(kan.width)


def mlp_of_equal_parameters(kan: KAN) -> onnx.ModelProto:
    """An MLP (ReLU) of one hidden layer with as many parameters as ``kan``, random weights."""
    parameters = sum(parameter.numel() for parameter in kan.parameters())
    inputs, outputs = kan.width[0], kan.width[-1]
    return _mlp((inputs, round((parameters - outputs) / (inputs + outputs + 1)), outputs))


def bare_matmul(kan: KAN) -> onnx.ModelProto:
    """Only the products that every KAN needs: one MatMul per layer, each with its own input.

    Input ``basis{i}`` is [rows, inputs·(grid_size + degree + 1)]: the values of all basis functions and silu, as if
    they cost nothing.
    """
    random = np.random.default_rng(SEED)
    nodes, fed, given, weights = [], [], [], []
    for index, layer in enumerate(kan.layers):
        names = f"basis{index}", f"weight{index}", f"nodes{index}"
        columns = matmul_columns(layer)
        weight = random.standard_normal((columns, layer.outputs), dtype=np.float32)
        nodes.append(helper.make_node("MatMul", names[:2], names[2:]))
        fed.append(helper.make_tensor_value_info(names[0], TensorProto.FLOAT, ["rows", columns]))
        given.append(helper.make_tensor_value_info(names[2], TensorProto.FLOAT, ["rows", layer.outputs]))
        weights.append(numpy_helper.from_array(weight, names[1]))
    graph = helper.make_graph(nodes, "bare_matmul", fed, given, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def matmul_columns(layer: KANLayer) -> int:
    """The number of columns that the layer's MatMul reads."""
    return layer.inputs * (layer.grid_size + layer.degree + 1)


def _mlp(width: Sequence[int]) -> onnx.ModelProto:
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        modules: list[nn.Module] = []
        for index in range(len(width) - 1):
            modules += [nn.Linear(width[index], width[index + 1]), nn.ReLU()]
    return _export(nn.Sequential(*modules[:-1]), width[0])


def _export(module: nn.Module, columns: int) -> onnx.ModelProto:
    """The module exported by torch.onnx, for any number of rows."""
    # Hide warnings on the exporter's own deprecations, on a missing torchvision, and on attributes that pykan sets.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            (torch.zeros(4, columns),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("rows")},),
            verbose=False,
        )
    assert program is not None
    return program.model_proto

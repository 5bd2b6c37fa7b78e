"""The peers, each as the ONNX model that its users get."""

import logging
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from benchmarks.common import peer_networks
from benchmarks.lowering.networks import SEED
from kan_model import KAN, KANLayer


def efficient_kan(kan: KAN) -> onnx.ModelProto:
    """efficient-kan with the weights of ``kan``."""
    return _export(peer_networks.efficient_kan(kan), kan.width[0])


def pykan_speed(kan: KAN) -> onnx.ModelProto:
    """The speed mode of pykan with the weights of ``kan``."""
    return _export(peer_networks.pykan_speed(kan), kan.width[0])


def inkan_model(kan: KAN, basis_mode: str) -> onnx.ModelProto:
    """Inkan with the weights of ``kan``, as `peer_networks.inkan_network`."""
    return _export(peer_networks.inkan_network(kan, basis_mode), kan.width[0])


def mlp_of_equal_shape(kan: KAN) -> onnx.ModelProto:
    """An MLP (ReLU) with as many nodes in each layer as ``kan``, random weights."""
    return _export(peer_networks.mlp(kan.width), kan.width[0])


def mlp_of_equal_parameters(kan: KAN) -> onnx.ModelProto:
    """An MLP (ReLU) of one hidden layer with as many parameters as ``kan``, random weights."""
    return _export(peer_networks.mlp_of_equal_parameters(kan), kan.width[0])


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

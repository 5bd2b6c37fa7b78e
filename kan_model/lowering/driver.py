"""A whole KAN, with what stands before and after it, as one ONNX model."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch

from kan_model.layer import KANLayer
from kan_model.lowering.closed_form import ClosedForm
from kan_model.lowering.cox_de_boor import CoxDeBoor
from kan_model.lowering.graph import GraphBuilder
from kan_model.lowering.strategy import Strategy
from kan_model.network import KAN
from kan_model.transform import InputTransform, OutputTransform, Softmax

# In order of preference: the first that applies is taken.
STRATEGIES: tuple[Strategy, ...] = (ClosedForm(), CoxDeBoor())
INPUT_NAME = "features"


@dataclass(frozen=True)
class Lowered:
    """An ONNX model and how it was made.

    Attributes:
        model: float32 ``features`` [rows, inputs] -> one float32 output [rows, outputs].
        strategies: Name of each layer's strategy, first layer first.
    """

    model: onnx.ModelProto
    strategies: tuple[str, ...]


def lower(
    kan: KAN,
    *,
    inputs: InputTransform | None = None,
    outputs: OutputTransform | None = None,
    strategies: tuple[Strategy, ...] = STRATEGIES,
    metadata: Mapping[str, str] | None = None,
) -> Lowered:
    """Write the network as a graph of standard ops (opset 17), constants rounded once to float32.

    Args:
        kan: The network.
        inputs: Imputation and scaling in front; None: the client sends what the network reads.
        outputs: Softmax or scaling behind; None: the network's own outputs.
        strategies: To choose from, best first.
        metadata: Goes into the model's metadata_props.

    Raises:
        ValueError: a weight that is not finite, or a layer to which no strategy applies; the layer is named.
    """
    output_name = "probabilities" if isinstance(outputs, Softmax) else "prediction"
    graph = GraphBuilder(INPUT_NAME, kan.width[0])
    value = _emit_inputs(graph, INPUT_NAME, inputs)
    chosen = []
    for index, layer in enumerate(kan.layers):
        _check_finite(layer, index)
        strategy = next((strategy for strategy in strategies if strategy.applies(layer)), None)
        if strategy is None:
            raise ValueError(f"layer {index}: none of {', '.join(s.name for s in strategies)} can write its grids")
        graph.scope = f"layer{index}"
        value = _emit_layer(graph, layer, value, strategy)
        chosen.append(strategy.name)
    graph.scope = ""
    value = _emit_outputs(graph, value, outputs)
    model = graph.build(value, output_name, kan.width[-1], "kan", dict(metadata or {}))
    return Lowered(model, tuple(chosen))


def _emit_inputs(graph: GraphBuilder, x: str, transform: InputTransform | None) -> str:
    graph.scope = "inputs"
    if transform is None:
        return x
    if transform.imputed is not None:
        missing = graph.op("IsNaN", [x], "missing")
        x = graph.op("Where", [missing, graph.floats(transform.imputed, "imputed_value"), x], "imputed")
    centred = graph.op("Sub", [x, graph.floats(transform.center, "center")], "centred")
    return graph.op("Mul", [centred, graph.floats(transform.scale, "scale")], "scaled")


def _emit_layer(graph: GraphBuilder, layer: KANLayer, x: str, strategy: Strategy) -> str:
    """Spline basis and silu side by side, then one MatMul for the whole layer."""
    basis, factor = strategy.emit_basis(graph, layer, x)
    gate = graph.op("Sigmoid", [x], "gate")
    silu = graph.op("Unsqueeze", [graph.op("Mul", [x, gate], "silu"), graph.integers([1], "grid_axis")], "silu_by_grid")
    both = graph.op("Concat", [basis, silu], "basis_and_silu", axis=1)
    flat = graph.op("Reshape", [both, graph.integers([0, -1], "flat_shape")], "flat")
    with torch.no_grad():
        mask = layer.edge_mask.double()
        splines = layer.coefficients.double() * mask.unsqueeze(-1) * factor
        base = (layer.base_weight.double() * mask).unsqueeze(-1)
        # [outputs, inputs, grid] -> [grid, inputs, outputs] -> one row for each column of `flat`.
        weight = torch.cat([splines, base], dim=-1).permute(2, 1, 0).reshape(-1, layer.outputs).numpy()
    return graph.op("MatMul", [flat, graph.floats(weight, "weight")], "nodes")


def _emit_outputs(graph: GraphBuilder, y: str, transform: OutputTransform | None) -> str:
    graph.scope = "outputs"
    if transform is None:
        return y
    if isinstance(transform, Softmax):
        return graph.op("Softmax", [y], "softmax", axis=1)
    scaled = graph.op("Mul", [y, graph.floats(transform.scale, "scale")], "scaled")
    return graph.op("Add", [scaled, graph.floats(transform.center, "center")], "raw")


def _check_finite(layer: KANLayer, index: int) -> None:
    for name, tensor in layer.state_dict().items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise ValueError(f"layer {index}: {bad} of {int(np.prod(tensor.shape))} numbers in {name} are not finite")

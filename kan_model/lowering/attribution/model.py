"""Write attribution.onnx: contributions of each column to each answer."""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from kan_model.analysis.contributions import SMALLEST_STEP
from kan_model.lowering.attribution.forward import Forward, emit_divisor, emit_forward
from kan_model.lowering.attribution.graph import OUTPUT_NAMES, AttributionGraph
from kan_model.lowering.attribution.inputs import sums_of_columns
from kan_model.lowering.attribution.multipliers import emit_behind
from kan_model.lowering.attribution.products import emit_to_sums
from kan_model.lowering.emit.pruned import remove_pruned
from kan_model.network.network import KAN, on_cpu
from kan_model.network.transform import Exponential, InputTransform, OutputTransform, count_features
from kan_model.onnx_graph import check


def attribution_model(
    kan: KAN,
    inputs: InputTransform | None,
    outputs: OutputTransform | None,
    columns: Sequence[int],
    metadata: Mapping[str, str] | None = None,
    *,
    in_float64: bool = False,
) -> onnx.ModelProto:
    """The graph of the rule of :func:`kan_model.analysis.contributions.contributions`.

    Args:
        kan: The network.
        inputs: Imputation and scaling of the inputs; None: the features are the network's inputs.
        outputs: Scaling, or exp, of the outputs. Softmax: the scores before it are explained.
        columns: The column of each feature, from 0; the contributions of the features of one column are summed.
        metadata: Entries of the model's metadata_props.
        in_float64: Compute everything in float64, which takes about twice the time. False: only the functions of
            hidden nodes, whose small differences would lose their digits.

    Returns:
        float32 ``features`` [rows, features] and ``reference`` [1 or rows, features] -> float32 ``contributions``
        [rows, outputs, columns], ``explained`` [rows, outputs] and ``baseline`` [1 or rows, outputs].

    Raises:
        ValueError: another number of columns than there are features.
    """
    features, answers = count_features(kan.width[0], inputs), kan.width[-1]
    if len(columns) != features:
        raise ValueError(f"columns has {len(columns)} entries; wanted one for each of {features} features")
    compact = remove_pruned(copy.deepcopy(on_cpu(kan)).double())
    graph = AttributionGraph(features)
    graph.is_wide = in_float64
    forward = emit_forward(graph, compact, inputs, outputs, features)
    contributions = _emit_contributions(graph, forward, answers)
    graph.scope = "outputs"
    if (sums := sums_of_columns(inputs, compact.nodes[0], columns)) is not None:
        contributions = graph.op("MatMul", [contributions, graph.floats(sums, "features_by_column")], "by_column")
    # Where a step stands in for a tiny difference, only the contributions know how small it was.
    difference = graph.sum(contributions, 2, "difference")
    explained = graph.op("Add", [forward.baseline, difference], "explained_nodes")
    values = (contributions, explained, forward.baseline)
    if isinstance(outputs, Exponential):
        values = _emit_exponential(graph, *values, difference, answers)
    if graph.is_wide:
        contributions, explained, baseline = (graph.to_float32(each, "float32") for each in values)
        values = (contributions, explained, baseline)
    shapes = ((answers, max(columns) + 1), (answers,), (answers,))
    named = {name: (value, shape) for name, value, shape in zip(OUTPUT_NAMES, values, shapes, strict=True)}
    model = graph.build(named, "kan_attribution", metadata or {}, {OUTPUT_NAMES[2]: "references"})
    check(model)
    return model


def _emit_contributions(graph: AttributionGraph, forward: Forward, answers: int) -> str:
    """Write the contributions of the network's inputs, ``[rows, answers, inputs]``."""
    behind: str | None = None
    for index in reversed(range(len(forward.layers))):
        graph.scope = f"layer{index}"
        if (factors := forward.factors[index]) is not None:
            behind = emit_to_sums(graph, behind, factors)
        behind = emit_behind(graph, behind, forward.layers[index], answers)
        if index > 0:
            axis = graph.integers([1], "answers_axis")
            divisor = graph.op("Unsqueeze", [forward.divisors[index - 1], axis], "divisor_by_answer")
            behind = graph.op("Div", [behind, divisor], "multipliers")
    assert behind is not None
    return behind


def _emit_exponential(
    graph: AttributionGraph, contributions: str, explained: str, baseline: str, difference: str, answers: int
) -> tuple[str, str, str]:
    """Write one more step of the rule, from logarithms to their exp, in float64."""
    was_wide, graph.is_wide = graph.is_wide, True
    if not was_wide:
        explained, baseline, difference = (graph.to_float64(each, "log") for each in (explained, baseline, difference))
    divisor = emit_divisor(graph, difference, np.full(1, SMALLEST_STEP))
    moved = graph.op("Exp", [graph.op("Add", [baseline, divisor], "log_moved")], "moved")
    explained, baseline = graph.op("Exp", [explained], "exp_explained"), graph.op("Exp", [baseline], "exp_baseline")
    slope = graph.op("Div", [graph.op("Sub", [moved, baseline], "change"), divisor], "slope")
    graph.is_wide = was_wide
    if not was_wide:
        explained, baseline = graph.to_float32(explained, "explained32"), graph.to_float32(baseline, "baseline32")
        slope = graph.to_float32(slope, "slope32")
    slope = graph.reshape(slope, [0, answers, 1], "slope_of_answer")
    return graph.op("Mul", [contributions, slope], "raw"), explained, baseline

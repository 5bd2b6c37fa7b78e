"""Graphs follow the standard and have no redundant node."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch

from kan_model import KAN
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import explaining_model, predicting_model
from kan_model.lowering.emit.precision import PRECISIONS
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import Outside
from kan_model.network.transform import Affine, InputTransform, OutputTransform, Softmax
from kan_model.onnx_graph import GraphBuilder, check
from kan_model.onnx_runtime import open_session, run

INPUTS = InputTransform(
    np.array([1, 2, 3], np.float32), np.array([2, 1, 0.5], np.float32), np.array([0, np.nan, 1], np.float32)
)
OUTPUTS: tuple[OutputTransform | None, ...] = (
    None,
    Softmax(),
    Affine(np.array([1, 2], np.float32), np.array([3, 4], np.float32)),
)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("every_kind", [False, True])
def test_graphs_are_plain_and_hold_nothing_twice(
    strategy: Strategy,
    outside: Outside,
    uneven: bool,
    every_kind: bool,
    make_kan: Callable[..., KAN],
    written_by: Callable[[KAN, Strategy], list[Strategy]],
    with_every_kind_of_edge: Callable[[KAN], KAN],
) -> None:
    """Both models of each strategy, in each precision, with and without transforms, pruned and symbolic edges."""
    kan = make_kan(outside=outside, uneven=uneven, grid_size=8, dtype=torch.float32)
    kan = with_every_kind_of_edge(kan) if every_kind else kan
    strategies = written_by(kan, strategy)
    for inputs, outputs in zip((None, INPUTS, INPUTS), OUTPUTS, strict=True):
        for precision in PRECISIONS:
            assert_clean(predicting_model(kan, inputs, outputs, strategies, precision))
        assert_clean(explaining_model(kan, inputs, outputs, strategies))


def assert_clean(model: onnx.ModelProto) -> None:
    """Valid with full check and strict shapes; opset 17, IR 8, standard ops; no node or constant that need not be."""
    check(model)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version <= 8
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    nodes, constants = graph.node, {tensor.name for tensor in graph.initializer}
    types = {info.name: info.type.tensor_type.elem_type for info in (*graph.input, *graph.value_info, *graph.output)}
    given = {info.name for info in graph.output}
    assert {node.domain for node in nodes} == {""}
    for node in nodes:
        assert node.op_type != "Identity", node.name
        assert any(name not in constants for name in node.input), f"{node.name} could be folded"
        if node.op_type == "Cast":
            assert types[node.input[0]] != onnx.helper.get_node_attr_value(node, "to"), f"{node.name} changes nothing"
    for name in (*(output for node in nodes for output in node.output if output not in given), *constants):
        assert name.split("/")[0] in ("inputs", "outputs", "layer0", "layer1", "shared"), name
    used = {name for node in nodes for name in node.input}
    assert constants <= used
    assert {output for node in nodes for output in node.output} <= used | given
    computed = Counter((node.op_type, *node.input, *(a.SerializeToString() for a in node.attribute)) for node in nodes)
    assert [key for key, count in computed.items() if count > 1] == []
    stored = Counter((tensor.data_type, *tensor.dims, tensor.raw_data) for tensor in graph.initializer)
    assert [key[:-1] for key, count in stored.items() if count > 1] == []


def test_equal_constants_and_equal_nodes_become_one() -> None:
    """Of the same type, shape and content; of the same operator, inputs and attributes. Others stay apart."""
    graph = GraphBuilder("x", 2)
    one = graph.floats([1, 2], "one")
    assert graph.floats(np.array([1.0, 2.0]), "again") == one
    assert graph.floats([[1, 2]], "other_shape") != one
    assert graph.integers([1, 2], "other_type") != one
    first = graph.op("Concat", ["x", "x"], "pair", axis=1)
    assert graph.op("Concat", ["x", "x"], "same", axis=1) == first
    assert graph.op("Concat", ["x", "x"], "other_axis", axis=0) != first
    assert graph.op("Sub", ["x", one], "difference") != graph.op("Sub", [one, "x"], "mirrored")


def test_names_carry_their_scope_and_are_unique() -> None:
    """A name that is taken gets a number."""
    graph = GraphBuilder("x", 1)
    graph.scope = "layer3"
    assert graph.op("Neg", ["x"], "value") == "layer3/value"
    assert graph.op("Abs", ["x"], "value") == "layer3/value_2"
    assert graph.floats(1, "value") == "layer3/value_3"


def test_a_model_gives_values_under_the_names_told() -> None:
    """Outputs with their shapes, also one that another node reads; metadata beside them."""
    graph = GraphBuilder("x", 2)
    negative = graph.op("Neg", ["x"], "negative")
    total = graph.op("ReduceSum", [negative, graph.integers([1], "axis")], "total")
    model = graph.build({"sum": (total, (1,)), "minus": (negative, (2,))}, "name", {"key": "value"})
    check(model)
    assert [output.name for output in model.graph.output] == ["sum", "minus"]
    shapes = [[dim.dim_param or dim.dim_value for dim in o.type.tensor_type.shape.dim] for o in model.graph.output]
    assert shapes == [["rows", 1], ["rows", 2]]
    assert {prop.key: prop.value for prop in model.metadata_props} == {"key": "value"}
    total_rows, negative_rows = open_session(model).run(np.array([[1, 2], [3, 4]], np.float32))
    np.testing.assert_array_equal(total_rows, [[-3], [-7]])
    np.testing.assert_array_equal(negative_rows, [[-1, -2], [-3, -4]])


def test_what_float32_cannot_hold_becomes_infinite() -> None:
    """A constant beyond float32 becomes infinite without a warning; the error of the graph shows it."""
    graph = GraphBuilder("x", 1)
    model = graph.build({"y": (graph.op("Mul", ["x", graph.floats([1e300], "large")], "product"), (1,))}, "name", {})
    assert np.isinf(run(model, np.ones((1, 1), np.float32)))


def test_check_refuses_what_does_not_fit() -> None:
    """A product of shapes that do not go together, and an output of another shape than told."""
    graph = GraphBuilder("x", 2)
    wrong = graph.op("MatMul", ["x", graph.floats(np.zeros((3, 1)), "weight")], "product")
    with pytest.raises(onnx.shape_inference.InferenceError):
        check(graph.build({"y": (wrong, (1,))}, "name", {}))
    graph = GraphBuilder("x", 2)
    with pytest.raises(onnx.shape_inference.InferenceError):
        check(graph.build({"y": (graph.op("Neg", ["x"], "negative"), (5,))}, "name", {}))


def test_a_constant_that_layers_share_bears_the_name_of_none() -> None:
    """What one layer reads is named after it; what two read is there once."""
    graph = GraphBuilder("x", 2)
    value = "x"
    for scope in ("layer0", "layer1"):
        graph.scope = scope
        value = graph.op("Add", [value, graph.floats([1, 2], "knots")], "sum")
    graph.scope = "layer0"
    value = graph.op("Mul", [value, graph.floats([3, 4], "weight")], "product")
    model = graph.build({"y": (value, (2,))}, "test", {})
    check(model)
    assert [tensor.name for tensor in model.graph.initializer] == ["shared/knots", "layer0/weight"]


def test_a_graph_may_have_two_inputs_and_cut_values_in_parts() -> None:
    """Split gives parts by sizes that the graph computes; outputs may have other rows than "rows"."""
    graph = GraphBuilder("first", 2)
    graph.add_input("second", "others", 2)
    sizes = [graph.op("Shape", [name], "count", start=0, end=1) for name in ("first", "second")]
    stacked = graph.op("Concat", ["first", "second"], "stacked", axis=0)
    doubled = graph.op("Add", [stacked, stacked], "doubled")
    parts = graph.split(doubled, graph.op("Concat", sizes, "sizes", axis=0), ("one", "two"))
    named = {"a": (parts[0], (2,)), "b": (parts[1], (2,))}
    model = graph.build(named, "test", {}, {"b": "others"})
    check(model)
    assert [output.type.tensor_type.shape.dim[0].dim_param for output in model.graph.output] == ["rows", "others"]
    rows, others = np.ones((3, 2), np.float32), np.full((1, 2), 5, np.float32)
    found = open_session(model).run_named(["a", "b"], {"first": rows, "second": others})
    np.testing.assert_array_equal(found[0], 2 * rows)
    np.testing.assert_array_equal(found[1], 2 * others)

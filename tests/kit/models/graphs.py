"""Small ONNX graphs whose right answers are known in numpy. Their input is "x", their output "y"."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]
# The right answer of a kind to rows.
Answer = Callable[[str, Floats], Floats]

ENDLESS_TURNS = 2**62
IMPUTED = np.array([1.0, -2.0], np.float32)
_WEIGHTS = (np.arange(12, dtype=np.float32).reshape(4, 3) - 5.5) / 4
_BIAS = np.array([0.5, -1.0, 2.0], np.float32)
_SLOW_TURNS = 32768


@dataclass(frozen=True)
class Kind:
    """A kind of model: its graph, its widths and the right answer."""

    graph: Callable[[], onnx.ModelProto]
    features: int
    outputs: int
    answer: Callable[[Floats], Floats]


def build(
    name: str, nodes: list[Any], constants: list[TensorProto], features: int = 4, outputs: int = 1
) -> onnx.ModelProto:
    """A checked model of these nodes, for any number of rows."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", outputs])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def constant(name: str, value: Any, dtype: Any = None) -> TensorProto:
    """A constant of a graph."""
    return numpy_helper.from_array(np.array(value, dtype), name)


def turning(name: str, turns: int = _SLOW_TURNS) -> onnx.ModelProto:
    """The mean of four features, negated an even number of times in turn.

    32,768 turns take far more than the 2 ms that the event loop allows; `ENDLESS_TURNS` only a halt can end.
    """
    turn = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    go, going = (helper.make_tensor_value_info(each, TensorProto.BOOL, []) for each in ("go", "going"))
    value, negative = (helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in ("value", "negative"))
    steps = [helper.make_node("Identity", ["go"], ["going"]), helper.make_node("Neg", ["value"], ["negative"])]
    body = helper.make_graph(steps, "turn", [turn, go, value], [going, negative])
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1]),
        helper.make_node("Loop", ["turns", "", "mean"], ["y"], body=body),
    ]
    return build(name, nodes, [constant("turns", turns)])


def endless_where_large(*, wide: bool) -> onnx.ModelProto:
    """The first of four features; where one is above 2.5, a loop of 2^62 rounds comes first.

    A wide one multiplies large matrices before, so that its runs are too long for the event loop.
    """
    constants: dict[str, Any] = {"limit": np.float32(2.5), "many": ENDLESS_TURNS, "none": np.float32(0)}
    constants |= {"from": [0], "to": [1], "axis": [1]}
    nodes = [
        helper.make_node("Greater", ["x", "limit"], ["above"]),
        helper.make_node("Cast", ["above"], ["flags"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["flags"], ["flag"], keepdims=0),
        helper.make_node("Mul", ["flag", "many"], ["rounds"]),
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["first"]),
        helper.make_node("Loop", ["rounds", "", "first"], ["looped"], body=_idle_round()),
        helper.make_node("Mul", ["wide" if wide else "looped", "none"], ["nothing"]),
        helper.make_node("Add", ["looped", "nothing"], ["y"]),
    ]
    if wide:
        share = numpy_helper.from_array(np.array([1 / 2048], np.float32))
        constants |= {"shape": [4, 2048], "square": [2048, 2048], "last": [2048, 1]}
        mixes = [
            helper.make_node("ConstantOfShape", [shape], [mix], value=share)
            for shape, mix in (("shape", "mix0"), ("square", "mix1"), ("square", "mix2"), ("last", "mix3"))
        ]
        names = ["x", "wide0", "wide1", "wide2", "wide"]
        products = [
            helper.make_node("MatMul", [names[each], f"mix{each}"], [names[each + 1]]) for each in range(len(mixes))
        ]
        nodes = [*mixes, *products, *nodes]
    return build("endless", nodes, [constant(name, value) for name, value in constants.items()])


def rounds_as_told() -> onnx.ModelProto:
    """The first of four features, after a loop of as many rounds as the largest number: 100,000 take tens of ms."""
    constants = {"from": [0], "to": [1], "axis": [1]}
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["rounds"], to=TensorProto.INT64),
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["first"]),
        helper.make_node("Loop", ["rounds", "", "first"], ["y"], body=_idle_round()),
    ]
    return build("told", nodes, [constant(name, value) for name, value in constants.items()])


def _idle_round() -> onnx.GraphProto:
    """The body of a loop that changes nothing."""
    return helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["value"], ["same"])],
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows", 1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("same", TensorProto.FLOAT, ["rows", 1]),
        ],
    )


def _affine() -> onnx.ModelProto:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Add", ["xw", "b"], ["y"])]
    return build("affine", nodes, [constant("w", _WEIGHTS[:, :1]), constant("b", _BIAS[:1])])


def _classifier() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["y"], axis=1),
    ]
    return build("classifier", nodes, [constant("w", _WEIGHTS), constant("b", _BIAS)], outputs=3)


def _softmax(rows: Floats) -> Floats:
    scores = rows @ _WEIGHTS + _BIAS
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _imputed() -> onnx.ModelProto:
    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "fill", "x"], ["filled"]),
        helper.make_node("MatMul", ["filled", "ones"], ["y"]),
    ]
    constants = [constant("fill", IMPUTED), constant("ones", np.ones((2, 1)), np.float32)]
    return build("imputed", nodes, constants, features=2)


def linear_part(kind: str) -> tuple[Floats, Floats]:
    """Weights [features, outputs] and bias [outputs] of a kind; of the classifier before the softmax."""
    if kind == "imputed":
        return np.ones((2, 1), np.float32), np.zeros(1, np.float32)
    outputs = KINDS[kind].outputs
    return np.asarray(_WEIGHTS[:, :outputs], np.float32), _BIAS[:outputs]


KINDS = {
    # The product x · w + b.
    "affine": Kind(_affine, 4, 1, lambda rows: np.asarray(rows @ _WEIGHTS[:, :1] + _BIAS[:1], np.float32)),
    # Softmax of x · w + b, three classes.
    "classifier": Kind(_classifier, 4, 3, _softmax),
    # NaN replaced by 1 and -2; the sum.
    "imputed": Kind(
        _imputed,
        2,
        1,
        lambda rows: np.asarray(np.where(np.isnan(rows), IMPUTED, rows).sum(axis=1, keepdims=True), np.float32),
    ),
    # The mean, the long way round.
    "slow": Kind(lambda: turning("slow"), 4, 1, lambda rows: np.asarray(rows.mean(axis=1, keepdims=True), np.float32)),
}

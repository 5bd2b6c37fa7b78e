"""Timing: all models and batch sizes are measured; the tests do not check how fast they are."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from kan_model import KAN
from kan_model.lowering.choose.timing import cheapest_block, preferred_rows, seconds_by_rows
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor


def test_every_model_is_timed_for_every_number_of_rows(make_kan: Callable[..., KAN]) -> None:
    """Seconds, finite and above zero: also more rows than a block holds, and numbers that no block divides."""
    kan = make_kan((3, 2), dtype=torch.float32)
    models = [predicting_model(kan, None, None, [strategy]) for strategy in (ClosedForm(), CoxDeBoor())]
    counts = (1, 7, 32, 128, 129, 500)
    result = seconds_by_rows(models, np.zeros((500, 3), np.float32), counts)
    assert [list(each) for each in result] == [list(counts)] * 2
    assert all(np.isfinite(seconds) and seconds > 0 for each in result for seconds in each.values())


def test_no_model_and_no_count() -> None:
    """Without models or batch sizes the result is empty."""
    assert seconds_by_rows([], np.zeros((1, 1), np.float32), ()) == []


@pytest.mark.parametrize(
    ("microseconds", "wanted"),
    [
        (lambda _: 1000, 1024),  # the same whatever comes: the more at once, the cheaper
        (lambda rows: rows**2, 16),
        (lambda rows: rows if rows <= 128 else 3 * rows, 128),  # beyond 128 rows the cache is too small
        # 10 µs a row and a share of the server's 50 µs a run: 10.05 at 1024; 10.20 at 256 is nearly as good, 10.39 not.
        (lambda rows: 10 * rows, 256),
    ],
    ids=["constant", "quadratic", "cache", "linear"],
)
def test_the_cheapest_block_is_that_of_the_cheapest_row(microseconds: Callable[[int], float], wanted: int) -> None:
    """By the time of a run and what a run costs the server beside it; of blocks nearly as good the smallest."""
    blocks = (16, 32, 64, 128, 256, 512, 1024)
    assert cheapest_block({block: microseconds(block) * 1e-6 for block in blocks}) == wanted
    assert cheapest_block({block: microseconds(block) * 1e-6 for block in reversed(blocks)}) == wanted


def _graph(steps: list[onnx.NodeProto], constants: list[TensorProto]) -> onnx.ModelProto:
    """Nodes from x, [rows, 1], to y, [rows, 1]."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in "xy"]
    graph = helper.make_graph(steps, "test", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_the_preferred_rows_are_the_cheapest_of_what_was_measured() -> None:
    """1024 where a run takes the same time for any number of rows, few where it takes the square of them.

    By proportions, not by speed: with 512 a row costs twice as much there, and half as much here.
    """
    node = helper.make_node
    square = numpy_helper.from_array(np.full((256, 256), 1 / 256, np.float32), "square")
    same = [node("ReduceMean", ["x"], ["mean"]), node("Mul", ["mean", "square"], ["0"])]
    same += [node("MatMul", [str(step), "square"], [str(step + 1)]) for step in range(4)]
    same += [node("ReduceMean", ["4"], ["end"]), node("Add", ["x", "end"], ["y"])]
    rows = np.ones((1024, 1), np.float32)
    assert preferred_rows(_graph(same, [square]), rows) == 1024
    pairs = [node("Transpose", ["x"], ["turned"]), node("Mul", ["x", "turned"], ["0"])]
    pairs += [node("Sin", [str(step)], [str(step + 1)]) for step in range(12)]
    pairs += [node("ReduceMean", ["12"], ["y"], axes=[1])]
    assert preferred_rows(_graph(pairs, []), rows) <= 256

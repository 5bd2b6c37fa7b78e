"""A run that fails: what its caller is told, and what the log says in JSON."""

import json
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.kit.callers.protocols import PROTOCOLS, Protocol
from tests.kit.models.graphs import build, constant
from tests.kit.models.repository import WriteModel, replace_graph
from tests.kit.server.kan_serve import Start

_TRACE = "1" * 32


def _picky() -> onnx.ModelProto:
    """Looks the first feature up in a table of four: a run with another number fails."""
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["first"]),
        helper.make_node("Cast", ["first"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "index"], ["y"]),
    ]
    places = [constant(name, value) for name, value in (("from", [0]), ("to", [1]), ("axis", [1]))]
    return build("picky", nodes, [*places, constant("table", [10, 20, 30, 40], np.float32)])


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda each: each.name)
def test_the_log_names_the_request_its_trace_and_its_model(
    start: Start, write_model: WriteModel, protocol: Protocol
) -> None:
    """One line in JSON has request id, trace id, model, version, code and the call's duration, and none of a run that
    did not end; the next call is answered.
    """
    folder: Path = write_model("affine", version=7)
    replace_graph(folder, _picky())
    server = start("--log-format", "json")
    metadata = (("x-request-id", "order 66"), ("traceparent", f"00-{_TRACE}-{'2' * 16}-00"))
    with grpc.insecure_channel(server.grpc, server.options) as channel:
        method: Any = channel.unary_unary(protocol.path)
        with pytest.raises(grpc.RpcError) as caught:
            method(protocol.request("affine", np.full((1, 4), 9, np.float32)), timeout=60, metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        _, _, values = protocol.answer(method(protocol.request("affine", np.ones((1, 4), np.float32)), timeout=60))
        assert values.tolist() == [20]
    code, log = server.stop()
    assert code == 0
    (line,) = [found for found in map(json.loads, log.splitlines()) if "request_id" in found]
    wanted = {"request_id": "order 66", "trace_id": _TRACE, "model": "affine", "version": "7", "code": "INTERNAL"}
    assert line.items() >= {**wanted, "method": protocol.path.removeprefix("/")}.items()
    assert line["seconds"] > 0
    assert not {"queue_seconds", "compute_seconds"} & set(line)

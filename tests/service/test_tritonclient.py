"""Triton's own client in a process of its own: its protos and ours cannot live in one."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_ROWS = [[0.5, -1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0], [-3.0, 0.25, 0.0, 8.0]]

_CALLS = """
import json, sys
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
rows = np.array(json.loads(sys.argv[2]), np.float32)

def infer(rows, model="classifier"):
    tensor = triton.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    return client.infer(model, [tensor], outputs=[triton.InferRequestedOutput("y")], request_id="a7")

def refusal(rows, model="classifier"):
    try:
        infer(rows, model)
    except InferenceServerException as error:
        return [error.status(), error.message()]

answer = infer(rows)
print(json.dumps({
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready("classifier", "2"),
    "server": client.get_server_metadata(as_json=True),
    "model": client.get_model_metadata("classifier", as_json=True),
    "index": client.get_model_repository_index(as_json=True),
    "answer": answer.as_numpy("y").tolist(),
    "id": answer.get_response().id,
    "narrow": refusal(rows[:, :3]),
    "absent": refusal(rows, "absent"),
}))
"""

_DESCRIPTORS = """
import json, sys
from importlib import import_module

def message(one):
    return {
        "fields": {
            field.name: [field.number, field.type, field.is_repeated, getattr(field.message_type, "full_name", "")]
            for field in one.fields
        },
        "nested": {nested.name: message(nested) for nested in one.nested_types},
    }

file = import_module(sys.argv[1]).DESCRIPTOR
files = [file, *file.dependencies]
print(json.dumps({
    "messages": {name: message(one) for file in files for name, one in file.message_types_by_name.items()},
    "methods": {
        method.name: [method.input_type.full_name, method.output_type.full_name]
        for service in file.services_by_name.values() for method in service.methods
    },
}))
"""


def _run(code: str, *arguments: str) -> Any:
    """What a script prints, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tritons_client_gets_numpys_answers(
    kan_serve: Callable[..., Any], write_model: Callable[..., Path], answer: Callable[..., Any]
) -> None:
    """Liveness, metadata, index and inference work unchanged; mistakes come back with their status."""
    write_model("classifier", version=2)
    seen = _run(_CALLS, kan_serve().grpc, json.dumps(_ROWS))
    assert seen["live"]
    assert seen["ready"]
    assert seen["model_ready"]
    assert seen["server"]["name"] == "kan-serve"
    assert seen["model"]["versions"] == ["2"]
    assert seen["model"]["platform"] == "onnxruntime_onnx"
    assert seen["model"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}]
    assert seen["model"]["outputs"] == [{"name": "y", "datatype": "FP32", "shape": ["-1", "3"]}]
    assert seen["index"]["models"] == [{"name": "classifier", "version": "2", "state": "READY"}]
    np.testing.assert_allclose(seen["answer"], answer("classifier", np.array(_ROWS, np.float32)), rtol=1e-5)
    assert seen["id"] == "a7"
    assert seen["narrow"][0] == "StatusCode.INVALID_ARGUMENT"
    assert "has 3 columns; model 'classifier' wants 4" in seen["narrow"][1]
    assert seen["absent"][0] == "StatusCode.NOT_FOUND"


def test_our_protocol_is_part_of_tritons() -> None:
    """Every message, field, number, type and method of ours is Triton's; properties is the standard's one extra."""
    ours = _run(_DESCRIPTORS, "open_inference.grpc_predict_v2_pb2")
    theirs = _run(_DESCRIPTORS, "tritonclient.grpc.service_pb2")
    metadata = ours["messages"]["ModelMetadataResponse"]
    assert metadata["fields"].pop("properties")[0] == 6
    assert metadata["nested"].pop("PropertiesEntry")
    for name, method in ours["methods"].items():
        assert theirs["methods"][name] == method, name
    for name, one in ours["messages"].items():
        _assert_part(one, theirs["messages"][name], name)


def _assert_part(ours: dict[str, Any], theirs: dict[str, Any], where: str) -> None:
    for name, field in ours["fields"].items():
        assert theirs["fields"].get(name) == field, f"{where}.{name}"
    for name, nested in ours["nested"].items():
        _assert_part(nested, theirs["nested"][name], f"{where}.{name}")

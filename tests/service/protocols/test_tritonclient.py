"""Triton's own client in a process of its own: its protos and ours cannot live in one."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kan_model.lowering.emit.inputs import INPUT_NAME
from kan_model.lowering.emit.network import output_name
from kan_model.network.transform import Softmax
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import Start, serving

_ROWS = [[0.5, -1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0], [-3.0, 0.25, 0.0, 8.0]]

# Each script closes its client. Otherwise the client closes itself while the interpreter ends, and may wait for ever
# for a thread of gRPC that has been stopped by then.
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
client.close()
"""

_STREAM = """
import json, queue, sys
import numpy as np
import tritonclient.grpc as triton

client = triton.InferenceServerClient(sys.argv[1])
rows = np.array(json.loads(sys.argv[2]), np.float32)
told = queue.Queue()

def send(id, rows, **options):
    tensor = triton.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    client.async_stream_infer("classifier", [tensor], request_id=id, **options)

client.start_stream(lambda result, error: told.put((result, error)))
for index in range(100):
    send(str(index), rows, enable_empty_final_response=bool(index % 2))
send("narrow", rows[:, :3])
send("last", rows)
answers = [told.get(timeout=30) for _ in range(102)]
client.stop_stream()
client.close()
print(json.dumps({
    "answers": {result.get_response().id: result.as_numpy("y").tolist() for result, error in answers if error is None},
    "errors": [error.message() for result, error in answers if error is not None],
}))
"""

_AIO_STREAM = """
import asyncio, json, sys
import numpy as np
import tritonclient.grpc.aio as triton

rows = np.array(json.loads(sys.argv[2]), np.float32)

async def requests():
    tensor = triton.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    for index in range(100):
        yield {"model_name": "classifier", "inputs": [tensor], "request_id": str(index)}

async def main():
    async with triton.InferenceServerClient(sys.argv[1]) as client:
        answers = [pair async for pair in client.stream_infer(requests())]
    print(json.dumps({
        "answers": {result.get_response().id: result.as_numpy("y").tolist() for result, error in answers},
        "errors": [error for result, error in answers if error is not None],
    }))

asyncio.run(main())
"""

_EXTENSIONS = """
import json, sys
import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
tensor = triton.InferInput("x", [2, 4], "FP32")
tensor.set_data_from_numpy(np.ones((2, 4), np.float32))
client.infer("classifier", [tensor], timeout=10_000_000)

def refusal(call, *arguments):
    try:
        call(*arguments)
    except InferenceServerException as error:
        return [error.status(), error.message()]

statistics = client.get_inference_statistics("classifier", as_json=True)
client.unload_model("classifier")
unloaded = client.get_model_repository_index(as_json=True)
client.load_model("classifier")
print(json.dumps({
    "config": client.get_model_config("classifier", as_json=True)["config"],
    "statistics": statistics["model_stats"],
    "unloaded": unloaded,
    "loaded": client.is_model_ready("classifier"),
    "memory": refusal(client.register_system_shared_memory, "a", "/a", 16),
    "cuda": refusal(client.get_cuda_shared_memory_status),
    "trace": refusal(client.get_trace_settings),
    "log": refusal(client.get_log_settings),
}))
client.close()
"""

_LABELS = """
import json, sys
import numpy as np
import tritonclient.grpc as triton

rows = np.array(json.loads(sys.argv[2]), np.float32)
tensor = triton.InferInput("x", list(rows.shape), "FP32")
tensor.set_data_from_numpy(rows)
asked = [triton.InferRequestedOutput("y"), triton.InferRequestedOutput("label")]
client = triton.InferenceServerClient(sys.argv[1])
answers = {
    "both": client.infer("classifier", [tensor], outputs=asked, priority=2),
    "label": client.infer("classifier", [tensor], outputs=asked[1:]),
    "none": client.infer("classifier", [tensor]),
}
print(json.dumps({
    name: {
        "y": None if answer.as_numpy("y") is None else answer.as_numpy("y").tolist(),
        "label": None if answer.as_numpy("label") is None else [
            [word.decode() for word in row] for row in answer.as_numpy("label")
        ],
    }
    for name, answer in answers.items()
}))
client.close()
"""

_AIO_LABELS = """
import asyncio, json, sys
import numpy as np
import tritonclient.grpc.aio as triton

rows = np.array(json.loads(sys.argv[2]), np.float32)

async def main():
    tensor = triton.InferInput("x", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows)
    asked = [triton.InferRequestedOutput("y"), triton.InferRequestedOutput("label")]
    async with triton.InferenceServerClient(sys.argv[1]) as client:
        answer = await client.infer("classifier", [tensor], outputs=asked, priority=2)
    labels = [[word.decode() for word in row] for row in answer.as_numpy("label")]
    print(json.dumps({"both": {"y": answer.as_numpy("y").tolist(), "label": labels}}))

asyncio.run(main())
"""

_DESCRIPTORS = """
import json, sys
from importlib import import_module

def message(one):
    return {
        "fields": {
            field.name: [
                field.number, field.type, field.is_repeated, getattr(field.message_type, "full_name", ""),
                getattr(field.enum_type, "full_name", ""), getattr(field.containing_oneof, "name", ""),
            ]
            for field in one.fields
        },
        "nested": {nested.name: message(nested) for nested in one.nested_types},
    }

file = import_module(sys.argv[1]).DESCRIPTOR
files = [file, *file.dependencies]
print(json.dumps({
    "messages": {name: message(one) for file in files for name, one in file.message_types_by_name.items()},
    "enums": {
        name: {value.name: value.number for value in one.values}
        for file in files for name, one in file.enum_types_by_name.items()
    },
    "methods": {
        method.name: [
            method.input_type.full_name, method.client_streaming,
            method.output_type.full_name, method.server_streaming,
        ]
        for service in file.services_by_name.values() for method in service.methods
    },
}))
"""


def _run(code: str, *arguments: str) -> Any:
    """The output of a script, as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A kan-serve of classifier (version 2), and the same as digits; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    write_version(folder / "models", "classifier", version=2)
    write_version(folder / "models", "classifier", name="digits")
    with serving(folder / "models", log=folder / "log") as server:
        yield server.grpc


def test_tritons_client_gets_numpys_answers(address: str, answer: Callable[..., Any]) -> None:
    """Liveness, metadata, index and inference work unchanged. Errors have their status."""
    seen = _run(_CALLS, address, json.dumps(_ROWS))
    assert seen["live"]
    assert seen["ready"]
    assert seen["model_ready"]
    assert seen["server"]["name"] == "kan-serve"
    assert seen["model"]["versions"] == ["2"]
    assert seen["model"]["platform"] == "onnxruntime_onnx"
    assert seen["model"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "4"]}]
    assert seen["model"]["outputs"] == [
        {"name": "y", "datatype": "FP32", "shape": ["-1", "3"]},
        {"name": "label", "datatype": "BYTES", "shape": ["-1", "1"]},
    ]
    assert seen["index"]["models"] == [
        {"name": "classifier", "version": "2", "state": "READY"},
        {"name": "digits", "version": "1", "state": "READY"},
    ]
    np.testing.assert_allclose(seen["answer"], answer("classifier", np.array(_ROWS, np.float32)), rtol=1e-5)
    assert seen["id"] == "a7"
    assert seen["narrow"][0] == "StatusCode.INVALID_ARGUMENT"
    assert "has 3 columns; model 'classifier' wants 4" in seen["narrow"][1]
    assert seen["absent"][0] == "StatusCode.NOT_FOUND"


@pytest.mark.parametrize("script", [_LABELS, _AIO_LABELS], ids=["sync", "aio"])
def test_tritons_client_reads_labels(address: str, answer: Callable[..., Any], script: str) -> None:
    """If asked for, alone or with probabilities. A request may be bulk."""
    expected = answer("classifier", np.array(_ROWS, np.float32))
    labels = [[["red", "green", "blue"][place]] for place in expected.argmax(axis=1)]
    seen = _run(script, address, json.dumps(_ROWS))
    assert seen["both"]["label"] == labels
    np.testing.assert_allclose(seen["both"]["y"], expected, rtol=1e-5)
    assert seen.get("label", {"y": None, "label": labels}) == {"y": None, "label": labels}
    assert seen.get("none", {"label": None})["label"] is None


@pytest.mark.parametrize(("script", "mistakes"), [(_STREAM, 1), (_AIO_STREAM, 0)], ids=["sync", "aio"])
def test_tritons_streams_get_numpys_answers(
    address: str, answer: Callable[..., Any], script: str, mistakes: int
) -> None:
    """start_stream and stream_infer work unchanged: each request is answered under its id, a wrong one alone fails."""
    seen = _run(script, address, json.dumps(_ROWS))
    assert set(seen["answers"]) == {*map(str, range(100)), *["last"] * mistakes}
    expected = answer("classifier", np.array(_ROWS, np.float32))
    for request_id, values in seen["answers"].items():
        np.testing.assert_allclose(values, expected, rtol=1e-5, err_msg=request_id)
    assert len(seen["errors"]) == mistakes
    assert all("INVALID_ARGUMENT: input 'x' has 3 columns" in error for error in seen["errors"])


def test_the_documented_stream_runs(address: str) -> None:
    """The example of docs/clients.md prints an answer for each of its requests."""
    text = (Path(__file__).parents[3] / "docs" / "clients.md").read_text()
    (code,) = re.findall(r"^## Streams of requests$.*?^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    # Of the demo model, whose tensors training names; this one has others.
    assert f'"{INPUT_NAME}"' in code
    assert f"'{output_name(Softmax())}'" in code
    code = code.replace(f'"{INPUT_NAME}"', '"x"').replace(f"'{output_name(Softmax())}'", "'y'")
    code = code.replace("64", "4").replace("127.0.0.1:8001", address)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(line.split(": ")[0] for line in done.stdout.splitlines()) == sorted(map(str, range(100)))


def test_the_documented_load_runs(kan_serve: Start, write_model: WriteModel) -> None:
    """The example of docs/clients.md unloads a model and loads it again. The log tells both."""
    write_model("classifier", name="digits")
    server = kan_serve("--allow-load")
    text = (Path(__file__).parents[3] / "docs" / "clients.md").read_text()
    (code,) = re.findall(r"^## Load and unload models$.*?^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    code = code.replace("127.0.0.1:8001", server.grpc)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert server.served == "digits/1"
    log = server.log.read_text()
    assert "model digits does not answer any more: a caller has unloaded it" in log
    assert "model digits version 1 closed: a caller has unloaded it" in log
    assert log.count("model digits version 1 ready after") == 2


def test_tritons_client_configures_counts_and_loads(kan_serve: Start, write_model: WriteModel) -> None:
    """Configuration, statistics, load and unload work unchanged. Other methods are UNIMPLEMENTED, with a message."""
    write_model("classifier")
    seen = _run(_EXTENSIONS, kan_serve("--allow-load").grpc)
    config = seen["config"]
    assert (config["name"], config["max_batch_size"], config["backend"]) == ("classifier", 4096, "onnxruntime")
    assert [(one["name"], one["data_type"], one["dims"]) for one in config["input"]] == [("x", "TYPE_FP32", ["4"])]
    assert [(one["name"], one["data_type"], one["dims"]) for one in config["output"]] == [
        ("y", "TYPE_FP32", ["3"]),
        ("label", "TYPE_STRING", ["1"]),
    ]
    (statistics,) = seen["statistics"]
    assert (statistics["name"], statistics["inference_count"], statistics["execution_count"]) == (
        "classifier",
        "2",
        "1",
    )
    assert statistics["inference_stats"]["success"]["count"] == "1"
    assert int(statistics["inference_stats"]["compute_infer"]["ns"]) > 0
    assert "models" not in seen["unloaded"]
    assert seen["loaded"]
    for name in ("memory", "cuda", "trace", "log"):
        status, message = seen[name]
        assert status == "StatusCode.UNIMPLEMENTED", name
        assert "this server" in message


def test_our_protocol_is_part_of_tritons() -> None:
    """Both have the same methods. Our messages have fields of Triton's, with the same names, numbers and types.

    Only `properties` is not Triton's: it comes from the standard.
    """
    ours = _run(_DESCRIPTORS, "open_inference.grpc_predict_v2_pb2")
    theirs = _run(_DESCRIPTORS, "tritonclient.grpc.service_pb2")
    metadata = ours["messages"]["ModelMetadataResponse"]
    assert metadata["fields"].pop("properties")[0] == 6
    assert metadata["nested"].pop("PropertiesEntry")
    assert ours["methods"] == theirs["methods"]
    assert ours["enums"] == {name: theirs["enums"][name] for name in ours["enums"]}
    for name, one in ours["messages"].items():
        _assert_part(one, theirs["messages"][name], name)


def _assert_part(ours: dict[str, Any], theirs: dict[str, Any], where: str) -> None:
    for name, field in ours["fields"].items():
        assert theirs["fields"].get(name) == field, f"{where}.{name}"
    for name, nested in ours["nested"].items():
        _assert_part(nested, theirs["nested"][name], f"{where}.{name}")

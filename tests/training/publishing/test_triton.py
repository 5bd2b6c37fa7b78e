"""config.pbtxt as Triton itself reads it, and when it is written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from kan_api.v1.manifest_pb2 import ModelManifest, TensorSpec
from service.registry.model.onnx_runtime import onnxruntime
from service.settings import Settings
from training.publishing.publish import publish
from training.publishing.repository import published_versions
from training.publishing.triton import MAX_BATCH_ROWS, config_text, configure_triton, fits, is_generated

# A process of its own: Triton's messages and ours of the same names cannot live in one.
_PARSE = """
import json, sys
from google.protobuf import json_format, text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

print(json.dumps([
    json_format.MessageToDict(text_format.Parse(text, ModelConfig()), preserving_proto_field_name=True)
    for text in json.load(sys.stdin)
]))
"""
# As people write it, in the notations of Triton's guide.
_PERSONAL = """
instance_group [ { count: 2 kind: KIND_GPU gpus: [ 0, 1 ] }, { count: 1 kind: KIND_CPU } ]
optimization { execution_accelerators { gpu_execution_accelerator : [ { name : "tensorrt" } ] } }
parameters { key: "list [ of" value: { string_value: 'a [ # b' } } # a comment [ with brackets
"""


def as_triton_reads(*texts: str) -> list[dict[str, Any]]:
    """The configurations, parsed by the schema of Triton's own client."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PARSE],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    read: list[dict[str, Any]] = json.loads(done.stdout)
    return read


def manifest(features: str = "features", outputs: str = "probabilities", columns: int = 4) -> ModelManifest:
    """One matrix in, one out."""
    return ModelManifest(
        name="flowers",
        inputs=[TensorSpec(name=features, datatype="FP32", shape=[-1, columns])],
        outputs=[TensorSpec(name=outputs, datatype="FP32", shape=[-1, 3])],
    )


def model_of(manifest: ModelManifest) -> bytes:
    """A graph with the manifest's tensors."""
    (given, wanted) = (manifest.inputs[0], manifest.outputs[0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", [given.name, "weight"], [wanted.name])],
        "graph",
        [helper.make_tensor_value_info(given.name, TensorProto.FLOAT, ["rows", given.shape[1]])],
        [helper.make_tensor_value_info(wanted.name, TensorProto.FLOAT, ["rows", wanted.shape[1]])],
        [helper.make_tensor("weight", TensorProto.FLOAT, [given.shape[1], wanted.shape[1]], [0.5] * 12)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_triton_reads_the_tensors_of_the_graph() -> None:
    """Names, types and widths are those of the onnxruntime session, whatever characters the names hold."""
    manifests = [manifest(), manifest('a "quoted" \\ back\\slash', "größe\n[ { # }\t'µ'")]
    for given, config in zip(manifests, as_triton_reads(*map(config_text, manifests)), strict=True):
        session = onnxruntime.InferenceSession(model_of(given), providers=["CPUExecutionProvider"])
        for tensors, described in ((session.get_inputs(), "input"), (session.get_outputs(), "output")):
            assert all(tensor.type == "tensor(float)" and tensor.shape[0] == "rows" for tensor in tensors)
            assert config[described] == [
                {"name": tensor.name, "data_type": "TYPE_FP32", "dims": [str(width) for width in tensor.shape[1:]]}
                for tensor in tensors
            ]


def test_triton_reads_how_the_model_is_to_be_served() -> None:
    """Name, backend, dynamic batching, the newest version only, and as many rows as kan-serve takes by default."""
    (config,) = as_triton_reads(config_text(manifest()))
    del config["input"], config["output"]
    assert config == {
        "name": "flowers",
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "max_batch_size": Settings.model_fields["max_request_rows"].default,
        "version_policy": {"latest": {"num_versions": 1}},
        "dynamic_batching": {},
    }
    assert config["max_batch_size"] == MAX_BATCH_ROWS


def test_what_a_person_adds_is_seen_and_does_not_hide_the_tensors() -> None:
    """Text that Triton takes and that holds more than ours: not generated, and it fits."""
    edited = config_text(manifest()) + _PERSONAL
    (config,) = as_triton_reads(edited)
    assert config["instance_group"][0]["count"] == 2
    assert is_generated(config_text(manifest()))
    assert not is_generated(edited)
    assert fits(edited, manifest())


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("instance_group [ { count: 2 } ]", True),
        ("max_batch_size: 0 input [ { name: 'features' data_type: TYPE_FP32 dims: [ -1, 4 ] } ]", True),
        ("input [ { name: 'features' data_type: TYPE_FP32 dims: [ 5 ] } ]", False),
        ("input [ { name: 'features' data_type: TYPE_FP16 dims: [ 4 ] } ]", False),
        ("input [ { name: 'x' data_type: TYPE_FP32 dims: [ 4 ] } ]", False),
        ("output [ { name: 'features' data_type: TYPE_FP32 dims: [ 4 ] } ]", False),
        ("name: 'other'", False),
        ("not a configuration", False),
    ],
)
def test_a_file_fits_when_all_it_names_is_the_models(text: str, fit: bool) -> None:
    """A tensor of another name, type, width or side, another model, or no text of that kind: it does not."""
    assert fits(text, manifest()) is fit
    assert not is_generated(text)


def test_tritons_file_follows_the_newest_version(tmp_path: Path) -> None:
    """Written beside the versions; where a version's tensors are others, and nobody changed it, it is written anew."""
    config = tmp_path / "flowers" / "config.pbtxt"
    publish(tmp_path, manifest(), lambda _: {"model.onnx": b""})
    assert config.read_text() == config_text(manifest())
    publish(tmp_path, manifest(outputs="mean"), lambda _: {"model.onnx": b""})
    assert config.read_text() == config_text(manifest(outputs="mean"))
    config.unlink()
    publish(tmp_path, manifest(outputs="mean"), lambda _: {"model.onnx": b""})
    assert config.read_text() == config_text(manifest(outputs="mean"))
    assert sorted(path.name for path in config.parent.iterdir()) == ["1", "2", "3", "config.pbtxt"]


def test_a_publisher_that_comes_late_does_not_bring_an_old_file_back(tmp_path: Path) -> None:
    """If version 2 was published before version 1's file for Triton is written, the file is version 2's."""
    first = publish(tmp_path, manifest(), lambda _: {"model.onnx": b""})
    publish(tmp_path, manifest(outputs="mean"), lambda _: {"model.onnx": b""})
    configure_triton(tmp_path / "flowers", first.manifest)
    assert (tmp_path / "flowers" / "config.pbtxt").read_text() == config_text(manifest(outputs="mean"))


def test_a_folder_copied_by_hand_ends_the_writing(tmp_path: Path) -> None:
    """Its manifest has the number of another folder, below its own; the file is written, and nothing is left beside."""
    first = publish(tmp_path, manifest(), lambda _: {"model.onnx": b""})
    folder = tmp_path / "flowers"
    for copy in ("2", "4"):
        shutil.copytree(folder / "1", folder / copy)
    (folder / "config.pbtxt").unlink()
    assert configure_triton(folder, first.manifest) == ()
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "4", "config.pbtxt"]


def test_tritons_file_is_never_half_written(tmp_path: Path) -> None:
    """A new file replaces it: what a reader has open, here by another name, keeps the content that it had."""
    config = tmp_path / "flowers" / "config.pbtxt"
    publish(tmp_path, manifest(), lambda _: {"model.onnx": b""})
    os.link(config, tmp_path / "open")
    publish(tmp_path, manifest(outputs="mean"), lambda _: {"model.onnx": b""})
    assert config.read_text() == config_text(manifest(outputs="mean"))
    assert (tmp_path / "open").read_text() == config_text(manifest())


def test_what_a_person_put_into_tritons_file_is_not_lost(tmp_path: Path) -> None:
    """A file that a user changed stays if its tensors are the model's; else it is kept under another name."""
    config = tmp_path / "flowers" / "config.pbtxt"
    publish(tmp_path, manifest(), lambda _: {"model.onnx": b""})
    edited = config.read_text() + "instance_group [ { count: 4 kind: KIND_GPU } ]\n"
    config.write_text(edited)
    publish(tmp_path, manifest(), lambda _: {"model.onnx": b""})
    assert config.read_text() == edited
    publish(tmp_path, manifest(outputs="mean"), lambda _: {"model.onnx": b""})
    assert config.read_text() == config_text(manifest(outputs="mean"))
    assert (config.parent / "config.pbtxt.before-3").read_text() == edited
    assert published_versions(config.parent) == [1, 2, 3]


def test_a_file_for_triton_that_cannot_be_written_leaves_the_version(tmp_path: Path) -> None:
    """A note says so, and that it is published; the caller knows the version."""
    (tmp_path / "flowers" / "config.pbtxt").mkdir(parents=True)
    published = publish(tmp_path, manifest(), lambda _: {"model.onnx": b"one"})
    assert published.manifest.version == 1
    (note,) = published.notes
    assert note.startswith("warning   version 1 is published")
    assert (tmp_path / "flowers" / "1" / "model.onnx").read_bytes() == b"one"

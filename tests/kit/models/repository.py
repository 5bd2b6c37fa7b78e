"""A model repository on disk: versions of small models, each file with its sha256 in the manifest."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import onnx
from google.protobuf import json_format
from onnx import TensorProto

from kan_api.v1 import manifest_pb2
from tests.kit.models import graphs
from tests.kit.models.graphs import KINDS

Change = Callable[[manifest_pb2.ModelManifest], object]
WriteModel = Callable[..., Path]


def write_version(
    models: Path,
    kind: str,
    version: int = 1,
    name: str | None = None,
    change: Change | None = None,
    spoil: Callable[[Path], object] | None = None,
) -> Path:
    """Write one version of a kind of `graphs.KINDS`, which appears whole, and give its folder.

    Args:
        models: The repository.
        kind: "affine" (4 features -> 1), "classifier" (4 -> 3 probabilities), "imputed" (2 -> 1, NaN allowed), "slow"
            (4 -> 1, some ten milliseconds a run; a `Gate` holds it for longer).
        version: Its number.
        name: The model's, if it is not that of the kind.
        change: May alter the manifest before it is written.
        spoil: May alter the files before the version appears.
    """
    manifest = _manifest(kind, name or kind, version)
    target = models / manifest.name / str(version)
    folder = target.with_name(f".{version}")
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(KINDS[kind].graph().SerializeToString())
    _list(manifest, folder, "model.onnx")
    if change is not None:
        change(manifest)
    _write(folder, manifest)
    if spoil is not None:
        spoil(folder)
    return folder.rename(target)


def cut_short(folder: Path) -> None:
    """Leave a version only the beginning of its graph."""
    os.truncate(folder / "model.onnx", 20)


def read_manifest(folder: Path) -> manifest_pb2.ModelManifest:
    """The manifest of a version."""
    return json_format.Parse((folder / "manifest.json").read_text(), manifest_pb2.ModelManifest())


def write_manifest(folder: Path, manifest: manifest_pb2.ModelManifest) -> None:
    """Give a version another manifest."""
    _write(folder, manifest)


def append_file(folder: Path, name: str) -> None:
    """Have a version's manifest list one more file."""
    list_files(folder, *(entry.name for entry in read_manifest(folder).files), name)


def list_files(folder: Path, *names: str) -> None:
    """Have a version's manifest list these files as they are."""
    manifest = read_manifest(folder)
    _list(manifest, folder, *names)
    _write(folder, manifest)


def replace_graph(folder: Path, model: onnx.ModelProto) -> None:
    """Give a version another graph, and bring its manifest in step."""
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    list_files(folder, "model.onnx")


def make_endless(folder: Path) -> None:
    """Make the runs of a version endless: a loop of 2^62 rounds. A halt can end them."""
    replace_graph(folder, graphs.turning("endless", graphs.ENDLESS_TURNS))


def move_weights(folder: Path, file: str = "weights.bin", *, location: str | None = None, listed: bool = True) -> None:
    """Move the weights of a version out of its model.onnx.

    Args:
        folder: The version.
        file: Where the weights are written.
        location: Where the graph looks for them, if elsewhere.
        listed: Whether the manifest lists the file.
    """
    model = onnx.load(folder / "model.onnx")
    weights = b""
    for tensor in model.graph.initializer:
        places = {"location": location or file, "offset": str(len(weights)), "length": str(len(tensor.raw_data))}
        for key, value in places.items():
            tensor.external_data.add(key=key, value=value)
        tensor.data_location = TensorProto.EXTERNAL
        weights += tensor.raw_data
        tensor.ClearField("raw_data")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / file).write_bytes(weights)
    list_files(folder, "model.onnx", *[file] * listed)


def _manifest(kind_name: str, name: str, version: int) -> manifest_pb2.ModelManifest:
    kind = KINDS[kind_name]
    classes = ["red", "green", "blue"] if kind_name == "classifier" else []
    features = [
        manifest_pb2.Feature(name=f"x{index}", column=f"x{index}", low=-1, high=3) for index in range(kind.features)
    ]
    if kind_name == "imputed":
        for feature, value in zip(features, graphs.IMPUTED, strict=True):
            feature.imputed = float(value)
    return manifest_pb2.ModelManifest(
        name=name,
        version=version,
        created="2026-01-02T03:04:05Z",
        task=manifest_pb2.TASK_CLASSIFICATION if classes else manifest_pb2.TASK_REGRESSION,
        target="y",
        classes=classes,
        inputs=[manifest_pb2.TensorSpec(name="x", datatype="FP32", shape=[-1, kind.features])],
        outputs=[manifest_pb2.TensorSpec(name="y", datatype="FP32", shape=[-1, kind.outputs])],
        columns=[manifest_pb2.Column(name=feature.name) for feature in features],
        features=features,
    )


def _list(manifest: manifest_pb2.ModelManifest, folder: Path, *names: str) -> None:
    del manifest.files[:]
    for name in names:
        content = (folder / name).read_bytes()
        manifest.files.add(name=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def _write(folder: Path, manifest: manifest_pb2.ModelManifest) -> None:
    text = json_format.MessageToJson(
        manifest, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    (folder / "manifest.json").write_text(text)

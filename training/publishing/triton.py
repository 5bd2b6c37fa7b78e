"""config.pbtxt: Triton's configuration of a model, so that Triton serves the repository's folder unchanged.

The schema (``inference.ModelConfig``) is not in protobuf's default pool: Triton's client registers it there too, and
registering it twice is an error. The few fields that matter are declared in a pool of their own. In text format only
the fields' names count.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from kan_api.v1.manifest_pb2 import ModelManifest, TensorSpec
from training.publishing.repository import published_versions, read_manifest
from training.publishing.staging import flush_folder, staging_folder, write_file

CONFIG_NAME = "config.pbtxt"
# The default of kan-serve's max_request_rows, so that both servers accept the same number of rows.
MAX_BATCH_ROWS = 4096

_FP32 = 11  # inference.DataType.TYPE_FP32
# Matches a list as in Triton's guide, `instance_group [ … ]`. Strings and comments match too, so that a list inside
# them is not changed.
_BARE_LIST = re.compile(r"""\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\#[^\n]*|(?P<field>\w+)\s*\[""")

_HEADER = """\
# For Triton; kan-serve does not read it. Written by kan-train, which keeps what you change or add here
# as long as the tensors are those of the newest version.
"""
# Names, numbers and types as in Triton's model_config.proto, without data types that our models never have.
_SCHEMA = """
name: "triton_model_config.proto" syntax: "proto3"
enum_type { name: "DataType" value { name: "TYPE_INVALID" number: 0 } value { name: "TYPE_FP32" number: 11 } }
message_type {
  name: "Tensor"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "data_type" number: 2 type: TYPE_ENUM type_name: ".DataType" label: LABEL_OPTIONAL }
  field { name: "dims" number: 3 type: TYPE_INT64 label: LABEL_REPEATED }
}
message_type {
  name: "Latest"
  field { name: "num_versions" number: 1 type: TYPE_UINT32 label: LABEL_OPTIONAL }
}
message_type {
  name: "VersionPolicy"
  field { name: "latest" number: 1 type: TYPE_MESSAGE type_name: ".Latest" label: LABEL_OPTIONAL }
}
message_type { name: "DynamicBatching" }
message_type {
  name: "ModelConfig"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "platform" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "version_policy" number: 3 type: TYPE_MESSAGE type_name: ".VersionPolicy" label: LABEL_OPTIONAL }
  field { name: "max_batch_size" number: 4 type: TYPE_INT32 label: LABEL_OPTIONAL }
  field { name: "input" number: 5 type: TYPE_MESSAGE type_name: ".Tensor" label: LABEL_REPEATED }
  field { name: "output" number: 6 type: TYPE_MESSAGE type_name: ".Tensor" label: LABEL_REPEATED }
  field { name: "dynamic_batching" number: 11 type: TYPE_MESSAGE type_name: ".DynamicBatching" label: LABEL_OPTIONAL }
  field { name: "backend" number: 17 type: TYPE_STRING label: LABEL_OPTIONAL }
}
"""


def configure_triton(model_folder: Path, manifest: ModelManifest) -> tuple[str, ...]:
    """Write Triton's config.pbtxt for a version that was just published, or for a newer one.

    If two processes publish at once, the file is always that of the newest version. A file that a user has changed
    stays if its tensors are those of the version. Otherwise it is kept as ``config.pbtxt.before-<version>``.

    Returns:
        A warning if the file cannot be written, else nothing. The version is published in both cases.
    """
    newest: ModelManifest | None = manifest
    version = manifest.version
    try:
        while newest is not None:
            _write_config(model_folder, newest)
            last, written = max(published_versions(model_folder), default=0), version
            # A version that was published meanwhile may have written its file before this one. Folders are counted,
            # because the manifest of a folder that was copied by hand has another number.
            newest = read_manifest(model_folder / str(last)) if last > written else None
            version = last
    except OSError as error:
        return (
            f"warning   version {manifest.version} is published and can be served; {CONFIG_NAME}, which only Triton "
            f"reads, cannot be written: {error.strerror} ({error.filename}); the next version tries again",
        )
    return ()


def config_text(manifest: ModelManifest) -> str:
    """The content of ``models/<name>/config.pbtxt``: protobuf text, with the tensors of the manifest.

    The shapes have no dimension for rows, because ``max_batch_size`` is set.

    Source: Triton's model configuration (``model_config.proto`` and its user guide).
    """
    return _text(
        manifest.name,
        [(spec.name, spec.shape[1:]) for spec in manifest.inputs],
        [(spec.name, spec.shape[1:]) for spec in manifest.outputs],
    )


def is_generated(text: str) -> bool:
    """Whether `config_text` could have written this config.pbtxt, so that it has no changes by a user."""
    config = _parse(text)
    return config is not None and text == _text(
        config.name,
        [(tensor.name, tensor.dims) for tensor in config.input],
        [(tensor.name, tensor.dims) for tensor in config.output],
    )


def fits(text: str, manifest: ModelManifest) -> bool:
    """Whether Triton can serve a version with this config.pbtxt: the version has every tensor that it names.

    Tensors may be missing in the file: Triton reads them from the graph.
    """
    config = _parse(text)
    return (
        config is not None
        and config.name in ("", manifest.name)
        and _are_among(config.input, manifest.inputs)
        and _are_among(config.output, manifest.outputs)
    )


def _write_config(model_folder: Path, manifest: ModelManifest) -> None:
    path = model_folder / CONFIG_NAME
    present = path.read_bytes() if path.exists() else b""
    if present and not is_generated(text := present.decode(errors="replace")):
        if fits(text, manifest):
            return
        write_file(model_folder / f"{CONFIG_NAME}.before-{manifest.version}", present)
    # Written in a new folder first, because processes on several machines may publish to the same repository.
    with staging_folder(model_folder) as temporary:
        file = temporary / CONFIG_NAME
        write_file(file, config_text(manifest).encode())
        file.replace(path)
    flush_folder(model_folder)


def _text(name: str, inputs: list[tuple[str, Sequence[int]]], outputs: list[tuple[str, Sequence[int]]]) -> str:
    config = _config_class()(
        name=name,
        platform="onnxruntime_onnx",
        backend="onnxruntime",
        max_batch_size=MAX_BATCH_ROWS,
        input=[{"name": tensor, "data_type": _FP32, "dims": dims} for tensor, dims in inputs],
        output=[{"name": tensor, "data_type": _FP32, "dims": dims} for tensor, dims in outputs],
        version_policy={"latest": {"num_versions": 1}},
        # Without options Triton batches waiting requests as soon as the model is free, as kan-serve does.
        dynamic_batching={},
    )
    return _HEADER + text_format.MessageToString(config, as_utf8=True)


def _are_among(tensors: Any, specs: Sequence[TensorSpec]) -> bool:
    """Whether name, type and width agree. With max_batch_size 0 a shape also has -1 for the rows."""
    wanted = {spec.name: list(spec.shape) for spec in specs}
    return all(
        tensor.name in wanted
        and tensor.data_type == _FP32
        and list(tensor.dims) in (wanted[tensor.name], wanted[tensor.name][1:])
        for tensor in tensors
    )


def _parse(text: str) -> Any:
    """A ModelConfig with the fields above, without all others; None if the text is no ModelConfig."""
    # The parser can skip a list in an unknown field only after a colon, so the colon is added.
    text = _BARE_LIST.sub(lambda match: f"{match['field']}: [" if match["field"] else match[0], text)
    try:
        return text_format.Parse(text, _config_class()(), allow_unknown_field=True)
    except text_format.ParseError:
        return None


@cache
def _config_class() -> Any:
    """The class of ``ModelConfig`` messages."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("ModelConfig"))

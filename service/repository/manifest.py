"""manifest.json as the server takes it: read, held against the bounds of kan_api.limits and against itself."""

import json
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format

from kan_api.excess import excess
from kan_api.limits import MAX_TEXT_CHARACTERS, MAX_WIDTH
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, File, ModelManifest
from service.errors import ModelRefused


def parse_manifest(content: bytes) -> ModelManifest:
    """A manifest from JSON; fields that a newer library added are passed over.

    Args:
        content: Of manifest.json, at most kan_api.limits.MAX_MANIFEST_BYTES.

    Raises:
        ModelRefused: It is none, or one of its fields is larger than kan_api.limits allows.
    """
    try:
        document = json.loads(content.decode(), object_pairs_hook=_object)
        manifest = json_format.ParseDict(document, ModelManifest(), ignore_unknown_fields=True)
    except (ModelRefused, MemoryError):
        raise
    except Exception as error:  # json_format raises AttributeError and others where the document is no object
        raise ModelRefused("manifest", f"manifest.json is not a kan_api.v1.ModelManifest: {error}") from error
    if what := excess(manifest):
        raise _too_large(what)
    return manifest


def file_entry(manifest: ModelManifest, name: str) -> File:
    """What the manifest says of a file.

    Raises:
        ModelRefused: It does not list the file once.
    """
    entries = [entry for entry in manifest.files if entry.name == name]
    if len(entries) != 1:
        raise ModelRefused("manifest", f"manifest.json lists {name} {len(entries)} times, wanted once")
    return entries[0]


def check_manifest(manifest: ModelManifest, max_message_bytes: int) -> None:
    """One input matrix as wide as there are features, at least one output, and messages that can hold them.

    Args:
        manifest: What parse_manifest gave.
        max_message_bytes: Longest message that callers send and get.

    Raises:
        ModelRefused: It is otherwise.
    """
    if len(manifest.inputs) != 1 or not manifest.outputs or not manifest.features:
        raise ModelRefused(
            "manifest",
            f"manifest.json has {len(manifest.inputs)} inputs, {len(manifest.outputs)} outputs and "
            f"{len(manifest.features)} features, wanted one input and at least one output and one feature",
        )
    for spec in (*manifest.inputs, *manifest.outputs):
        if spec.datatype != "FP32" or len(spec.shape) != 2 or spec.shape[0] != -1 or spec.shape[1] < 1:
            raise ModelRefused(
                "manifest",
                f"manifest.json gives {spec.name!r} as {spec.datatype} {list(spec.shape)}, wanted FP32 [-1, columns]",
            )
    if manifest.task not in (TASK_REGRESSION, TASK_CLASSIFICATION):
        raise ModelRefused("manifest", "manifest.json has no task, wanted TASK_REGRESSION or TASK_CLASSIFICATION")
    outputs = manifest.outputs[0].shape[1]
    if manifest.task == TASK_CLASSIFICATION and len(manifest.classes) != outputs:
        raise ModelRefused(
            "manifest", f"manifest.json has {len(manifest.classes)} classes and an output of {outputs} columns"
        )
    columns = manifest.inputs[0].shape[1]
    if columns != len(manifest.features):
        raise ModelRefused(
            "manifest", f"manifest.json has {len(manifest.features)} features and an input of {columns} columns"
        )
    _check_features(manifest)
    _check_messages(manifest, max_message_bytes)


def row_bytes(manifest: ModelManifest) -> int:
    """What one row takes of a message, asked or answered, whichever is more."""
    return 4 * max(len(manifest.features), sum(spec.shape[1] for spec in manifest.outputs))


def _check_features(manifest: ModelManifest) -> None:
    """Clients encode columns into features: both must tell the same."""
    encoded = [(column.name, word) for column in manifest.columns for word in column.categories or ("",)]
    features = [(feature.column, feature.category) for feature in manifest.features]
    if encoded != features:
        place = next(
            (i for i, (a, b) in enumerate(zip(encoded, features, strict=False)) if a != b),
            min(len(encoded), len(features)),
        )
        raise ModelRefused(
            "manifest",
            f"manifest.json has {len(encoded)} features by its columns and {len(features)} by its features; "
            f"number {place + 1} differs",
        )


def _check_messages(manifest: ModelManifest, max_message_bytes: int) -> None:
    """A version that no caller can use is refused at once, rather than at every call."""
    sizes = {"one row": row_bytes(manifest), "the manifest, which clients ask for,": manifest.ByteSize()}
    for what, size_bytes in sizes.items():
        if size_bytes > max_message_bytes:
            raise ModelRefused(
                "size", f"{what} takes {size_bytes} bytes of a message, --max-message-bytes allows {max_message_bytes}"
            )


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the document. What is too large stops here: protobuf takes 34 ms to look at a MiB of text."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{len(pairs)} fields have {len(found)} names")
    for name, value in pairs:
        values = value if isinstance(value, list) else [value]
        longest = max((len(text) for text in values if isinstance(text, str)), default=0)
        if longest > MAX_TEXT_CHARACTERS:
            raise _too_large(f"{name} has {longest} characters, at most {MAX_TEXT_CHARACTERS} are allowed")
        if len(values) > MAX_WIDTH:
            raise _too_large(f"{name} has {len(values)} entries, at most {MAX_WIDTH} are allowed")
    return found


def _too_large(what: str) -> ModelRefused:
    return ModelRefused("size", f"manifest.json is too large: {what}")

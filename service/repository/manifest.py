"""Parse manifest.json, and check it against the bounds of kan_api.limits and for contradictions."""

import json
import math
from collections.abc import Sequence
from typing import Any

from kan_api.dates import PARTS
from kan_api.excess import excess
from kan_api.ground import POLICIES
from kan_api.limits import MAX_TEXT_CHARACTERS, MAX_WIDTH
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Column, File, ModelManifest
from service.errors import ModelRefused, excerpt
from service.repository.proto_json import read_message

_WANTED = "an object in JSON: a kan_api.v1.ModelManifest"
_FIELDS = "with name, version, task, inputs, outputs, features and files, as kan-train publishes it"


def parse_manifest(content: bytes) -> ModelManifest:
    """A manifest from JSON. Unknown fields, which a newer library may have added, are ignored.

    Args:
        content: Content of manifest.json, at most kan_api.limits.MAX_MANIFEST_BYTES.

    Raises:
        ModelRefused: It is not a manifest, or one of its fields is larger than kan_api.limits allows.
    """
    if not content.strip():
        raise ModelRefused("manifest", f"manifest.json is empty, wanted {_WANTED}")
    try:
        is_small = len(content) <= min(MAX_TEXT_CHARACTERS, MAX_WIDTH)  # an entry and a character take a byte each
        document = json.loads(content.decode(), object_pairs_hook=_object if is_small else _bounded_object)
        if not isinstance(document, dict):
            raise ModelRefused("manifest", f"manifest.json holds {_kind(document)}, wanted {_WANTED}")
        manifest = read_message(document, ModelManifest)
    except (ModelRefused, MemoryError):
        raise
    except Exception as error:  # json_format raises AttributeError and others if a field is of another kind
        raise ModelRefused("manifest", f"manifest.json is not a kan_api.v1.ModelManifest: {error}") from error
    if not manifest.ByteSize():
        names = ", ".join(excerpt(repr(name), 60) for name in list(document)[:3])
        holds = f"no field of a manifest, only {names}" if names else "an empty object, {}"
        raise ModelRefused("manifest", f"manifest.json holds {holds}, wanted {_WANTED} {_FIELDS}")
    if what := excess(manifest):
        raise _too_large(what)
    return manifest


def file_entry(manifest: ModelManifest, name: str) -> File:
    """The entry of a file in the manifest.

    Raises:
        ModelRefused: The manifest does not list the file exactly once.
    """
    entries = [entry for entry in manifest.files if entry.name == name]
    if len(entries) != 1:
        raise ModelRefused("manifest", f"manifest.json lists {name} {len(entries)} times, wanted once")
    return entries[0]


def check_manifest(manifest: ModelManifest, max_message_bytes: int) -> None:
    """Check that the server can serve a manifest.

    It must have one input matrix with a column for each feature, and at least one output. A message must have room for
    one row, and for the manifest.

    Args:
        manifest: From parse_manifest.
        max_message_bytes: Largest gRPC message.

    Raises:
        ModelRefused: A condition is not met.
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
    if manifest.unknown_ground not in ("", *POLICIES):
        # An unknown policy may be stricter than all of ours.
        raise ModelRefused(
            "manifest",
            f"manifest.json has unknown_ground {excerpt(repr(manifest.unknown_ground), 60)}, "
            f"wanted one of {', '.join(POLICIES)}",
        )
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
    _check_image(manifest)
    _check_features(manifest)
    _check_counts(manifest)
    _check_pooling(manifest)
    _check_messages(manifest, max_message_bytes)


def row_bytes(manifest: ModelManifest) -> int:
    """Bytes of one row in a message, as a request or as an answer, whichever is more."""
    return 4 * max(len(manifest.features), sum(spec.shape[1] for spec in manifest.outputs))


def _check_image(manifest: ModelManifest) -> None:
    """Check that an image has as many numbers as there are features."""
    shape = manifest.image_shape
    if not shape:
        return
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) != len(manifest.features):
        raise ModelRefused(
            "manifest",
            f"manifest.json gives image_shape {list(shape[:8])} and {len(manifest.features)} features, "
            "wanted channels, height and width whose product is the number of features",
        )


def _check_features(manifest: ModelManifest) -> None:
    """Check that columns and features agree: clients encode the columns as features."""
    encoded = [(column.name, word) for column in manifest.columns for word in column.categories or _numbers(column)]
    features = [(feature.column, feature.category) for feature in manifest.features]
    # The numbers of a word or a date may be called as one likes, so their names are not compared.
    several = {column.name for column in manifest.columns if column.HasField("statistics") or column.HasField("date")}
    features = [(column, "" if column in several else word) for column, word in features]
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


def _numbers(column: Column) -> list[str]:
    """An empty word for each number that a cell of the column becomes."""
    if column.HasField("date"):
        return [""] * len(PARTS)
    if not column.HasField("statistics"):
        return [""]
    found, name = column.statistics, f"column {excerpt(repr(column.name), 60)}"
    if not found.prior or len(found.values) != len(found.words) * len(found.prior):
        raise ModelRefused(
            "manifest",
            f"manifest.json gives {name} {len(found.values)} numbers for {len(found.words)} words, "
            f"wanted {len(found.prior)} each, at least one",
        )
    if not all(map(math.isfinite, (*found.values, *found.prior))):
        raise ModelRefused("manifest", f"manifest.json gives {name} numbers that are not finite")
    return [""] * len(found.prior)


def _check_counts(manifest: ModelManifest) -> None:
    """Counts that the server computes with: the rows of a run, and the memory that a version holds."""
    network = manifest.network
    counts = {
        "preferred_rows": [manifest.preferred_rows],
        "network.width": network.width,
        "network.grid_size": [network.grid_size],
        "network.degree": [network.degree],
        "network.levels": [n for each in network.levels for n in (each.adding, each.multiplying, each.sums)],
        "network.convolutions": [
            n
            for each in network.convolutions
            for n in (each.channels, each.height, each.width, each.kernel, each.padding, each.pool_size)
        ],
    }
    for name, values in counts.items():
        if (least := min(values, default=0)) < 0:
            raise ModelRefused("manifest", f"manifest.json gives {least} for {name}, wanted 0 or more")


def _check_pooling(manifest: ModelManifest) -> None:
    """People read the name of the pooling in their terminals."""
    if unknown := {each.pool for each in manifest.network.convolutions} - {"", "none", "average", "max"}:
        raise ModelRefused("manifest", f"manifest.json gives pool {min(unknown)!r}, wanted none, average or max")


def _check_messages(manifest: ModelManifest, max_message_bytes: int) -> None:
    """Refuse a version whose rows or manifest fit into no message: every call would fail."""
    sizes = {"one row": row_bytes(manifest), "the manifest, which clients ask for,": manifest.ByteSize()}
    for what, size_bytes in sizes.items():
        if size_bytes > max_message_bytes:
            raise ModelRefused(
                "size", f"{what} takes {size_bytes} bytes of a message, --max-message-bytes allows {max_message_bytes}"
            )


def _kind(document: object) -> str:
    """The kind of a JSON document that is not an object."""
    if document is None:
        return "null"
    return "a list" if isinstance(document, list) else f"one value, {excerpt(repr(document), 60)}"


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of the document."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{len(pairs)} fields have {len(found)} names")
    return found


def _bounded_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of the document. Fields that are too large are refused here: protobuf needs 34 ms a MiB of text."""
    found = _object(pairs)
    for name, value in pairs:
        if not isinstance(value, list | str):
            continue
        longest = len(value) if isinstance(value, str) else _longest(value)
        if longest > MAX_TEXT_CHARACTERS:
            raise _too_large(f"{name} has {longest} characters, at most {MAX_TEXT_CHARACTERS} are allowed")
        if isinstance(value, list) and len(value) > MAX_WIDTH:
            raise _too_large(f"{name} has {len(value)} entries, at most {MAX_WIDTH} are allowed")
    return found


def _longest(values: list[Any]) -> int:
    """Characters of the longest text in a list; 0 if there is none."""
    kinds = set(map(type, values))
    if str not in kinds:
        return 0
    return max(map(len, values if len(kinds) == 1 else [each for each in values if isinstance(each, str)]))


def _too_large(what: str) -> ModelRefused:
    return ModelRefused("size", f"manifest.json is too large: {what}")

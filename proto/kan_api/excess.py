"""Check a manifest against the limits of kan_api.limits."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from kan_api.limits import MAX_MANIFEST_BYTES, MAX_NAME_CHARACTERS, MAX_TEXT_CHARACTERS, MAX_WIDTH
from kan_api.v1.manifest_pb2 import ModelManifest, TensorSpec

_TEXTS = frozenset({"recipe", "formula", "command", "text", "latex"})


def excess(manifest: ModelManifest) -> str:
    """The first field of a manifest that is too large.

    Returns:
        "" if there is none; otherwise one sentence: ``the features are 70000, at most 65536 are allowed``.
    """
    statistics = [column.statistics for column in manifest.columns if column.HasField("statistics")]
    counts = {
        "features": len(manifest.features),
        "columns": len(manifest.columns),
        "words of the columns": sum(len(column.categories) for column in manifest.columns)
        + sum(len(each.words) for each in statistics),
        "numbers of the columns' words": sum(len(each.values) for each in statistics),
        "classes": len(manifest.classes),
        "columns of the inputs": _columns(manifest.inputs),
        "columns of the outputs": _columns(manifest.outputs),
    }
    for what, count in counts.items():
        if count > MAX_WIDTH:
            return f"the {what} are {count}, at most {MAX_WIDTH} are allowed"
    if (size_bytes := manifest.ByteSize()) > MAX_MANIFEST_BYTES:
        return f"the manifest has {size_bytes} bytes in protobuf's encoding, at most {MAX_MANIFEST_BYTES} are allowed"
    for path, characters in _lengths(manifest):
        most = MAX_TEXT_CHARACTERS if path.rpartition(".")[2] in _TEXTS else MAX_NAME_CHARACTERS
        if characters > most:
            return f"{path} has {characters} characters, at most {most} are allowed"
    return ""


def _columns(specs: Iterable[TensorSpec]) -> int:
    """Numbers in one row of all tensors together."""
    return sum(max(0, size) for spec in specs for size in spec.shape[1:])


def _lengths(message: Message, path: str = "") -> Iterator[tuple[str, int]]:
    """The path and the length of each text in a message, but for messages in which no text can be too large.

    The keys of a map are texts too.
    """
    for field, value in message.ListFields():
        if field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            continue
        for one in (value,) if isinstance(value, str | Message) else value:
            if isinstance(one, str):
                yield f"{path}{field.name}", len(one)
            elif one.ByteSize() > MAX_NAME_CHARACTERS:  # a character takes at least a byte
                yield from _lengths(one, f"{path}{field.name}.")

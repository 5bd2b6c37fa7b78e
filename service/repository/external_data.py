"""Which files hold the external data of an ONNX model: weights that a graph only points at.

onnxruntime gets a model as bytes, and then looks for such files in the server's working directory (1.32 for those of
subgraphs, and for the graph's own where it folds constants). So the server finds the references itself, and gives
onnxruntime the files' bytes. It walks over protobuf's encoding, as serving does not install the package onnx.

Source: onnx.proto3, TensorProto.data_location and external_data; https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator, Mapping

from service.errors import ModelRefused

# The messages that lead to tensors: number of a field -> what it holds.
_FIELDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 11: "attribute"},
}
# The way to the tensors for which onnxruntime takes the bytes that it is given. For others it looks by itself.
_GIVEN = {("model", "graph"), ("graph", "tensor")}
_DATA_TYPE, _EXTERNAL_DATA, _DATA_LOCATION = 2, 13, 14
_KEY, _VALUE = 1, 2
_STRING, _EXTERNAL = 8, 1
# A graph has some ten fields a node. So many take a second, and only where the word "location" stands in the model.
_MOST_FIELDS = 1_000_000
_PIECE_BYTES = 2**20


def external_files(model_bytes: bytes) -> frozenset[str]:
    """Names of the files that hold external data; nobody has looked yet whether the files are there.

    Args:
        model_bytes: Of model.onnx.

    Raises:
        ModelRefused: It has external data that is no plain file of its folder, or that onnxruntime would look for.
    """
    if not _mentions(model_bytes, b"location"):
        return frozenset()  # the key without which nothing is external
    try:
        return frozenset(_Walk().locations(memoryview(model_bytes)))
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise ModelRefused("graph", f"model.onnx is no ONNX model: {error}") from error


class _Walk:
    """One walk over a model; it ends when it has seen too many fields."""

    def __init__(self) -> None:
        self._fields_left = _MOST_FIELDS

    def locations(self, model: memoryview) -> Iterator[str]:
        todo = [("model", model, True)]
        while todo:
            kind, message, given = todo.pop()
            if kind == "tensor":
                yield from self._location(message, given)
                continue
            for number, value in self._fields(message):
                child = _FIELDS[kind].get(number)
                if child is not None and isinstance(value, memoryview):
                    todo.append((child, value, given and (kind, child) in _GIVEN))

    def _location(self, tensor: memoryview, given: bool) -> Iterator[str]:
        """Where the data of a tensor lies, if it is external."""
        is_external, is_string, entries = False, False, []
        for number, value in self._fields(tensor):
            if isinstance(value, memoryview):
                if number == _EXTERNAL_DATA:
                    entries.append(
                        {key: bytes(text) for key, text in self._fields(value) if isinstance(text, memoryview)}
                    )
            # Parsers take the lower half of a number that is too long.
            elif number == _DATA_LOCATION:
                is_external |= value & 0xFFFFFFFF == _EXTERNAL
            elif number == _DATA_TYPE:
                is_string |= value & 0xFFFFFFFF == _STRING
        if not is_external:
            return
        if not given:
            raise ModelRefused("graph", "model.onnx has external data outside the initializers of its main graph")
        if is_string:
            raise ModelRefused("graph", "model.onnx has external data of strings, wanted numbers")
        locations = [entry.get(_VALUE, b"").decode() for entry in entries if entry.get(_KEY) == b"location"]
        if len(locations) != 1:
            raise ModelRefused("graph", f"model.onnx has external data with {len(locations)} locations, wanted one")
        if set("/\\\0") & set(locations[0]) or locations[0] in ("", ".", ".."):
            raise ModelRefused(
                "graph", f"model.onnx has external data in {locations[0]!r}, wanted the name of a file beside it"
            )
        yield locations[0]

    def _fields(self, message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """A message's fields: number, and what stands there; 0 for numbers of fixed length."""
        at = 0
        while at < len(message):
            self._fields_left -= 1
            if self._fields_left < 0:
                raise ValueError(f"it has external data and more than {_MOST_FIELDS} fields")
            tag, at = _varint(message, at)
            value: int | memoryview = 0
            match tag & 7:
                case 0:
                    value, at = _varint(message, at)
                case 1:
                    at += 8
                case 2:
                    size, at = _varint(message, at)
                    value = message[at : at + size]
                    at += size
                case 5:
                    at += 4
                case other:
                    raise ValueError(f"a field is encoded as {other}")
            if at > len(message):
                raise ValueError("it ends in the middle of a field")
            yield tag >> 3, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has more than ten bytes")


def _mentions(content: bytes, word: bytes) -> bool:
    """Whether the bytes hold a word; piece by piece, as a search keeps the interpreter to itself."""
    return any(
        word in content[start : start + _PIECE_BYTES + len(word)] for start in range(0, len(content), _PIECE_BYTES)
    )

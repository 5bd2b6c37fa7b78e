"""Find the files with external data of an ONNX model: weights that are stored in other files beside model.onnx.

The server gives a model to onnxruntime as bytes. onnxruntime 1.32 may then read such files from the server's working
directory: those of subgraphs, and those of the main graph when it folds constants. So the server finds the references
itself and gives onnxruntime the contents. It parses protobuf's encoding itself, because the package onnx is not
installed for serving.

Source: onnx.proto3, TensorProto.data_location and external_data; https://protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Iterator, Mapping

from service.errors import ModelRefused

# For each message that can contain tensors: number of a field -> the message in that field.
_FIELDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 11: "attribute"},
}
# Only tensors on this path, the initializers of the main graph, can be given to onnxruntime as bytes. For all others it
# reads the files itself.
_GIVEN = {("model", "graph"), ("graph", "tensor")}
_DATA_TYPE, _EXTERNAL_DATA, _DATA_LOCATION = 2, 13, 14
_KEY, _VALUE = 1, 2
_STRING, _EXTERNAL = 8, 1
# A graph has about ten fields a node. A walk over this many fields takes a second. It is needed only if the model
# contains the word "location".
_MOST_FIELDS = 1_000_000
_PIECE_BYTES = 2**20


def external_files(model_bytes: bytes) -> frozenset[str]:
    """Names of the files with external data. This function does not check that the files exist.

    Args:
        model_bytes: Content of model.onnx.

    Raises:
        ModelRefused: External data is not in a file of the same folder, or is where onnxruntime would read it itself.
    """
    if not _mentions(model_bytes, b"location"):
        return frozenset()  # every tensor with external data has the key "location"
    try:
        return frozenset(_Walk().locations(memoryview(model_bytes)))
    except (IndexError, UnicodeDecodeError, ValueError) as error:
        raise ModelRefused("graph", f"model.onnx is no ONNX model: {error}") from error


class _Walk:
    """One walk over the fields of a model. It fails after too many fields."""

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
        """The file with the data of a tensor, if the data is external."""
        is_external, is_string, entries = False, False, []
        for number, value in self._fields(tensor):
            if isinstance(value, memoryview):
                if number == _EXTERNAL_DATA:
                    entries.append(
                        {key: bytes(text) for key, text in self._fields(value) if isinstance(text, memoryview)}
                    )
            # Protobuf parsers keep only the lower 32 bits of a longer number.
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
        """The fields of a message: number and value. Values of fixed length are not read, but given as 0."""
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
    """A varint, with seven bits in each byte, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has more than ten bytes")


def _mentions(content: bytes, word: bytes) -> bool:
    """Whether the bytes contain a word. The search goes piece by piece, because a search holds the interpreter lock."""
    return any(
        word in content[start : start + _PIECE_BYTES + len(word)] for start in range(0, len(content), _PIECE_BYTES)
    )

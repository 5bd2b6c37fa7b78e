"""Messages in JSON that are read without json_format: the same messages, and the same refusals in the same words."""

import copy
import json
import math
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Value
from google.protobuf.type_pb2 import Option

from kan_api.v1.manifest_pb2 import ModelManifest
from open_inference.grpc_predict_v2_pb2 import ModelInferRequest
from open_inference.model_config_pb2 import ModelConfig
from service.repository.proto_json import read_message

_PUBLISHED = Path(__file__).parents[2] / "published"
_INTEGERS = [0, -1, 2**31 - 1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400]
_FLOATS = [-0.0, 0.5, 2.0, 1e300, -1e300, 5e-324, 3.4028234e38, 3.4028235677973366e38, -3.5e38, math.inf, math.nan]
_SPELLINGS = ["0", "-1", "+1", "-0", "007", "1_0", " 1", "1 ", "\t1", "1.0", "1e3", "1.5", "0x1", "٣", "--1", "-", ""]
_SPELLINGS += ["9223372036854775807", "9223372036854775808", "-9223372036854775809", "9" * 400, "1e400", "3.5e38"]
_SPELLINGS += ["Infinity", "-Infinity", "NaN", "inf", "nan", "infinity", "true", "TASK_REGRESSION", "TASK_NEW", "é"]
_SPELLINGS += ["\ud800", "\udc00x", "😀", "n" * 5000]
_VALUES = [None, True, False, *_INTEGERS, *_FLOATS, *_SPELLINGS, {}, {"a": 1.5}, {"a": None}, {"name": "b"}, {"[a]": 1}]
# Whatever a value is in JSON, and lists of it.
_ODD: list[Any] = [
    *_VALUES,
    [],
    [[]],
    *([each] for each in _VALUES),
    *([each, "1", 2] for each in _VALUES),
    ["1", "2"],
    [1, 0.5],
]
_FEW: list[Any] = [True, "1", 2.0, None, {}, []]
_PAIRS = list(product(_FEW, repeat=2))

Outcome = tuple[str, str]


def _outcome(read: Callable[[dict[str, Any], type[Message]], Message], document: Any, kind: type[Message]) -> Outcome:
    """The message, to the bit; or the error."""
    try:
        return "message", read(document, kind).SerializeToString(deterministic=True).hex()
    except Exception as error:
        return type(error).__name__, str(error)


def _of_json_format(document: dict[str, Any], kind: type[Message]) -> Message:
    return json_format.ParseDict(document, kind(), ignore_unknown_fields=True)


def _differences(documents: Sequence[Any], kind: type[Message] = ModelManifest) -> list[Any]:
    return [each for each in documents if _outcome(read_message, each, kind) != _outcome(_of_json_format, each, kind)]


def _kinds(kind: Any, found: dict[str, Descriptor]) -> dict[str, Descriptor]:
    """A kind of message and those of its fields."""
    if kind.full_name not in found:
        found[kind.full_name] = kind
        for field in kind.fields:
            if field.message_type is not None:
                _kinds(field.message_type, found)
    return found


# Manifests have no field of bytes, no float outside of a list, no map of messages, and no field that excludes another.
_KINDS = [
    kind
    for root in (ModelManifest, ModelInferRequest, ModelConfig, Value, Option)
    for kind in _kinds(root.DESCRIPTOR, {}).values()
]


def _value(field: FieldDescriptor, chance: random.Random) -> Any:
    """A value of a field, as protobuf writes it."""
    if field.message_type is not None:
        return _document(field.message_type, chance)
    if field.enum_type is not None:
        return chance.choice(field.enum_type.values).name
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(["", "kan", "größer", "😀"])
    if field.type == FieldDescriptor.TYPE_BOOL:
        return chance.random() < 0.5
    if field.type == FieldDescriptor.TYPE_INT64:
        return str(chance.choice([0, -1, 2**53 + 1, chance.randrange(1000)]))
    return chance.choice([0.0, -0.0, "Infinity", "-Infinity", "NaN", chance.gauss(0, 1e3), chance.randrange(9)])


def _document(kind: Any, chance: random.Random) -> dict[str, Any]:
    """A message with all fields, in either spelling of their names."""
    document: dict[str, Any] = {"later": {"a": [1]}}
    for field in kind.fields:
        name, values = chance.choice([field.name, field.json_name]), range(chance.choice([0, 1, 2]))
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            document[name] = {f"test_{number}": _value(value, chance) for number in values}
        elif field.is_repeated:
            document[name] = [_value(field, chance) for _ in values]
        else:
            document[name] = _value(field, chance)
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Each object or list in a document, with each of its names or numbers."""
    for place in document if isinstance(document, dict) else range(len(document)):
        yield document, place
        if isinstance(document[place], dict | list):
            yield from _places(document[place])


def _documents() -> list[dict[str, Any]]:
    """Manifests that earlier versions published, and some with all fields."""
    published = [json.loads(file.read_text()) for file in sorted(_PUBLISHED.rglob("manifest.json"))]
    return published + [_document(ModelManifest.DESCRIPTOR, random.Random(seed)) for seed in range(8)]


def _calls_of_json_format(document: dict[str, Any]) -> int:
    calls: list[str] = []

    def record(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == json_format.__file__:
            calls.append(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(record)
    try:
        read_message(document, ModelManifest)
    finally:
        sys.setprofile(before)
    return len(calls)


@pytest.mark.parametrize("document", _documents())
def test_what_protobuf_writes_is_read_without_json_format(document: dict[str, Any]) -> None:
    """All fields, in both spellings of their names, with zeros or without, and fields that a newer library added."""
    message = _of_json_format(document, ModelManifest)
    written = [
        json_format.MessageToDict(
            message, preserving_proto_field_name=names, always_print_fields_with_no_presence=zeros
        )
        for names in (True, False)
        for zeros in (True, False)
    ]
    assert _differences([document, *written]) == []
    assert [_calls_of_json_format(each) for each in (document, *written)] == [0] * 5


def test_whole_numbers_that_people_write_are_read_without_json_format() -> None:
    """A version, the numbers of a shape."""
    document = {"name": "kan", "version": 2, "inputs": [{"shape": [-1, 4]}], "outputs": None}
    assert _differences([document]) == []
    assert _calls_of_json_format(document) == 0
    assert _calls_of_json_format({**document, "version": "2.0"}) > 0


@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.name)
def test_each_field_takes_and_refuses_what_json_format_does(kind: Descriptor) -> None:
    """Values of every kind and spelling, alone and in lists; both names of a field at once; two fields at once."""
    documents: list[Any] = [*_VALUES, {"[kan_api.v1.x]": 1}, {"[": 1}, {"": 1}, {"later": 1}]
    for field in kind.fields:
        documents += [{field.name: value} for value in _ODD]
        if field.json_name != field.name:
            documents += [{field.json_name: value} for value in _ODD]
            documents += [{field.name: a, field.json_name: b} for a, b in _PAIRS]
    for first, second in pairwise(kind.fields):
        documents += [{first.name: a, second.name: b} for a, b in _PAIRS]
    assert _differences(documents, GetMessageClass(kind)) == []


def test_a_mutation_anywhere_ends_as_with_json_format() -> None:
    """Deep inside of a manifest: the same message, or the same words with the same path."""
    chance, documents = random.Random(7), []
    for document in _documents()[-3:]:
        for _ in range(100):
            mutated = copy.deepcopy(document)
            inside, place = chance.choice(list(_places(mutated)))
            inside[place] = chance.choice(_ODD)
            documents.append(mutated)
    assert _differences(documents) == []

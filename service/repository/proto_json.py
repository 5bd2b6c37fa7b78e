"""Messages in JSON, read several times as fast as json_format reads them where they are spelt as protobuf spells them.

json_format asks for each field of each object what the field is, and tries every spelling that it allows. This module
asks once for each kind of message. It knows only the usual spellings: those that protobuf writes, and for whole numbers
also numbers, which people write. json_format reads a document with any other, so it alone decides what is refused.

Example: ``{"version": "2"}`` and ``{"version": 2}`` are read here, ``{"version": "2.0"}`` by json_format.

Source: https://protobuf.dev/programming-guides/json
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_M = TypeVar("_M", bound=Message)
# From a value in JSON to the value of a field. Raises one of _UNUSUAL for an unusual spelling.
_Read = Callable[[Any], Any]
# Reads a value in JSON into a message.
_Put = Callable[[Message, Any], None]

# What the functions below raise, and what protobuf raises for values of another kind.
_UNUSUAL = (AttributeError, KeyError, OverflowError, TypeError, ValueError)
_NOT_FINITE = {text: float(text) for text in ("Infinity", "-Infinity", "NaN")}
_LARGEST_FLOAT = (2 - 2**-23) * 2.0**127


def read_message(document: dict[str, Any], kind: type[_M]) -> _M:
    """The message that json_format.ParseDict makes of a document, if it ignores unknown fields.

    Args:
        document: From json.loads.
        kind: Class of the message, which has no field of its own kind inside.

    Raises:
        Exception: What json_format raises for a document that is no such message: ParseError and others.
    """
    message = kind()
    with suppress(*_UNUSUAL):
        _fill(message, document)
        return message
    return json_format.ParseDict(document, kind(), ignore_unknown_fields=True)


def _fill(message: Message, document: dict[str, Any]) -> None:
    """Read an object into an empty message.

    Each call of protobuf takes one text or one list of numbers. A call that took a whole manifest would hold the
    interpreter lock for all its megabytes.
    """
    puts = _puts(message.DESCRIPTOR)
    for name, value in document.items():
        if name not in puts:
            if name.startswith("["):
                raise ValueError("json_format refuses names of extensions")
            continue
        other_name, put = puts[name]
        if other_name in document:
            raise ValueError("a field has both of its names")
        if value is not None:
            put(message, value)


@cache
def _puts(kind: Descriptor) -> Mapping[str, tuple[str | None, _Put]]:
    """For each name that a field may have: its other name, if there is one, and the function that reads it."""
    parts = [kind, *(field.message_type or field.enum_type for field in kind.fields)]
    if any(part is not None and part.file.package == "google.protobuf" for part in parts):
        raise ValueError("protobuf's own messages have a JSON of their own: a time is a text")
    found: dict[str, tuple[str | None, _Put]] = {}
    for field in kind.fields:
        put, is_one = _put(field), field.json_name == field.name
        found[field.name] = (None if is_one else field.json_name, put)
        found[field.json_name] = (None if is_one else field.name, put)
    return found


def _put(field: FieldDescriptor) -> _Put:
    if field.containing_oneof is not None and len(field.containing_oneof.fields) > 1:
        return _leave
    if field.message_type is not None:
        return _put_of_messages(field, field.message_type)
    read = _read(field)
    if read is None:
        return _leave
    if field.is_repeated:
        return partial(_put_list, field.name, _READ_LIST.get(field.type, partial(_each, read)))
    return partial(_put_one, field.name, read)


def _put_of_messages(field: FieldDescriptor, kind: Descriptor) -> _Put:
    if kind.GetOptions().map_entry:
        read = _read(kind.fields_by_name["value"])
        return _leave if read is None else partial(_put_map, field.name, read)
    return partial(_put_messages if field.is_repeated else _put_message, field.name)


def _read(field: FieldDescriptor) -> _Read | None:
    """The function that reads one value; None if json_format must do it."""
    if field.enum_type is not None:
        return {value.name: value.number for value in field.enum_type.values}.__getitem__
    return _READ.get(field.type)


def _leave(_message: Message, _value: object) -> None:
    raise ValueError("a field that only json_format knows")


def _put_one(name: str, read: _Read, message: Message, value: Any) -> None:
    setattr(message, name, read(value))


def _put_list(name: str, read: _Read, message: Message, values: Any) -> None:
    getattr(message, name).extend(read(_list(values)))


def _put_map(name: str, read: _Read, message: Message, values: Any) -> None:
    found = getattr(message, name)
    for key, value in values.items():
        found[key] = read(value)


def _put_message(name: str, message: Message, value: Any) -> None:
    found = getattr(message, name)
    found.SetInParent()
    _fill(found, value)


def _put_messages(name: str, message: Message, values: Any) -> None:
    add = getattr(message, name).add
    for value in _list(values):
        _fill(add(), value)


def _list(values: Any) -> list[Any]:
    if type(values) is not list:
        raise TypeError("no list")
    return values


def _each(read: _Read, values: list[Any]) -> list[Any]:
    return list(map(read, values))


def _text(value: Any) -> Any:
    return value  # protobuf raises for all but valid texts


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError("no bool")
    return value


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise ValueError("no decimal number")
    return int(value)


def _wholes(values: list[Any]) -> list[int]:
    if {str}.issuperset(map(type, values)):
        digits = "".join(values)
        if digits.isascii() and digits.isdecimal():
            return list(map(int, values))
    return _each(_whole, values)


def _number(value: Any) -> float:
    if (type(value) is float or type(value) is int) and math.isfinite(value):
        return value
    return _NOT_FINITE[value]


def _numbers(values: list[Any]) -> list[float]:
    if {int, float}.issuperset(map(type, values)) and all(map(math.isfinite, values)):
        return values
    return _each(_number, values)


def _number32(value: Any) -> float:
    number = _number(value)
    if abs(number) > _LARGEST_FLOAT and type(value) is not str:
        raise ValueError("too large")
    return number


# Other types are left to json_format.
_READ: Mapping[int, _Read] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_BOOL: _flag,
    FieldDescriptor.TYPE_INT32: _whole,
    FieldDescriptor.TYPE_INT64: _whole,
    FieldDescriptor.TYPE_FLOAT: _number32,
    FieldDescriptor.TYPE_DOUBLE: _number,
}
# Lists that are read at once.
_READ_LIST: Mapping[int, _Read] = {
    FieldDescriptor.TYPE_STRING: _text,
    FieldDescriptor.TYPE_INT64: _wholes,
    FieldDescriptor.TYPE_DOUBLE: _numbers,
}

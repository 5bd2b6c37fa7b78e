"""The protocols, from the .proto files and the comments in them."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

from docs.generate.text.tables import code, code_block, table

_PROTO = Path(__file__).parents[3] / "proto"
# Page, file, title.
_FILES = {
    "reference/protocols/prediction.md": ("kan_api/v1/prediction.proto", "Protocol kan_api.v1"),
    "reference/manifest.md": ("kan_api/v1/manifest.proto", "Manifest"),
    "reference/protocols/grpc_predict_v2.md": ("open_inference/grpc_predict_v2.proto", "Open Inference Protocol"),
    "reference/protocols/model_config.md": ("open_inference/model_config.proto", "Model configuration"),
}
# Numbers of fields in descriptor.proto, by which a comment finds what it is about.
_MESSAGE, _ENUM, _SERVICE, _FIELD, _NESTED, _VALUE, _METHOD = 4, 5, 6, 2, 3, 2, 2
_ENUM_IN_MESSAGE = 4


def pages() -> dict[str, str]:
    """A page a file."""
    files = {file.name: file for file in _descriptors()}
    return {page: f"# {title}\n\n" + _page(files[name]) for page, (name, title) in _FILES.items()}


def _descriptors() -> list[FileDescriptorProto]:
    """What protoc makes of the files, with comments."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "set")
        names = [name for name, _ in _FILES.values()]
        arguments = ["protoc", f"-I{_PROTO}", "--include_source_info", f"--descriptor_set_out={target}", *names]
        if protoc.main(arguments) != 0:
            raise ValueError("protoc failed; its message is above")
        return list(FileDescriptorSet.FromString(target.read_bytes()).file)


class _Comments:
    """The comments of a file, by the path of what they are about."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._texts = {
            tuple(each.path): each.leading_comments or each.trailing_comments for each in file.source_code_info.location
        }

    def line(self, path: Sequence[int]) -> str:
        """In one line, for a cell."""
        return " ".join(self._texts.get(tuple(path), "").split())

    def block(self, path: Sequence[int]) -> str:
        """As paragraphs; lines that are indented are code."""
        lines = [line.removeprefix(" ") for line in self._texts.get(tuple(path), "").splitlines()]
        return "\n".join(f"  {line}" if line.startswith("  ") else line for line in _parted(lines))


def _parted(lines: Sequence[str]) -> Iterator[str]:
    """With an empty line wherever code begins or ends."""
    before = False
    for line in lines:
        if line.startswith("  ") != before:
            yield ""
        before = line.startswith("  ")
        yield line


def _page(file: FileDescriptorProto) -> str:
    comments = _Comments(file)
    parts = [f"`proto/{file.name}`, package `{file.package}`.\n"]
    for number, service in enumerate(file.service):
        parts.append(_service(service, (_SERVICE, number), comments))
    for number, message in enumerate(file.message_type):
        parts += _message(message, message.name, (_MESSAGE, number), comments)
    for number, enum in enumerate(file.enum_type):
        parts.append(_enum(enum, enum.name, (_ENUM, number), comments))
    return "\n".join(parts)


def _service(service: ServiceDescriptorProto, path: tuple[int, ...], comments: _Comments) -> str:
    parts = [f"## {service.name}\n\n{comments.block(path)}\n"]
    for number, method in enumerate(service.method):
        asked, answered = _short(method.input_type), _short(method.output_type)
        streams = ("stream " if method.client_streaming else "", "stream " if method.server_streaming else "")
        signature = f"rpc {method.name}({streams[0]}{asked}) returns ({streams[1]}{answered})"
        text = comments.block((*path, _METHOD, number))
        parts.append(f"### {method.name}\n\n{code_block('proto', signature)}\n{text}\n")
    return "\n".join(parts)


def _message(message: DescriptorProto, name: str, path: tuple[int, ...], comments: _Comments) -> Iterator[str]:
    rows = [
        [str(field.number), code(field.name), code(_type(field, message)), comments.line((*path, _FIELD, number))]
        for number, field in enumerate(message.field)
    ]
    body = table(["number", "field", "type", "what it is"], rows) if rows else "It has no fields.\n"
    yield f"## {name}\n\n{comments.block(path)}\n\n{body}"
    for number, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from _message(nested, f"{name}.{nested.name}", (*path, _NESTED, number), comments)
    for number, enum in enumerate(message.enum_type):
        yield _enum(enum, f"{name}.{enum.name}", (*path, _ENUM_IN_MESSAGE, number), comments)


def _enum(enum: EnumDescriptorProto, name: str, path: tuple[int, ...], comments: _Comments) -> str:
    rows = [
        [str(value.number), code(value.name), comments.line((*path, _VALUE, number))]
        for number, value in enumerate(enum.value)
    ]
    return f"## {name}\n\n{comments.block(path)}\n\n{table(['number', 'value', 'what it is'], rows)}"


def _type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    """As it is written in the file."""
    for nested in message.nested_type:
        if nested.options.map_entry and field.type_name.endswith(f".{message.name}.{nested.name}"):
            key, value = nested.field
            return f"map<{_type(key, nested)}, {_type(value, nested)}>"
    kind = _short(field.type_name) or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {kind}"
    if field.HasField("oneof_index") and not field.proto3_optional:
        return f"oneof {message.oneof_decl[field.oneof_index].name}: {kind}"
    return f"optional {kind}" if field.proto3_optional else kind


def _short(name: str) -> str:
    return name.rsplit(".", 1)[-1]

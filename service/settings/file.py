"""The settings file: TOML with a table [server], whose keys are the flags, and a table [models.NAME] for a model."""

import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service.errors import SettingsError
from service.settings import mistakes
from service.settings.groups import GROUPS
from service.settings.model_table import EVERY, ModelTable, table_head
from service.settings.settings import FLAGS
from service.settings.toml_lines import lines_of

_MOST_BYTES = 2**16
_SERVER, _MODELS = "server", "models"
_LINE = re.compile(r" ?\(at (?:line (\d+), column \d+|end of document)\)")


@dataclass(frozen=True)
class SettingsFile:
    """The content of a settings file, each value checked by itself.

    Attributes:
        name: The path, for messages; "" if there is no file.
        text: The content.
        server: The keys of [server].
        tables: The tables of models, by the model's name.
    """

    name: str = ""
    text: str = ""
    server: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, ModelTable] = field(default_factory=dict)

    @cached_property
    def _lines(self) -> Mapping[tuple[str, ...], int]:
        return lines_of(self.text)

    def place(self, *path: str) -> str:
        """Where a key or a table stands, as "kan-serve.toml:3"."""
        line = self._lines.get(path)
        return self.name if line is None else f"{self.name}:{line}"


def read_settings_file(path: Path) -> SettingsFile:
    """Read and check a file.

    Raises:
        SettingsError: It cannot be read, is no TOML, or holds a key or value that does not fit. All mistakes are told,
            in the order of their lines.
    """
    text = _read_text(path)
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise SettingsError([f"{path}: it is nested too deeply"]) from None
    except ValueError as error:
        found = _LINE.search(str(error))
        place = f"{path}:{found[1] or len(text.splitlines())}" if found else f"{path}"
        raise SettingsError([f"{place}: it is no TOML: {_LINE.sub('', str(error))}"]) from None
    content = SettingsFile(str(path), text)
    wrong = [*_unknown_tables(content, document)]
    server, models = document.get(_SERVER, {}), document.get(_MODELS, {})
    tables: dict[str, ModelTable] = {}
    if isinstance(server, dict):
        wrong += _check_server(content, server)
    if isinstance(models, dict):
        for name, table in models.items():
            wrong += _check_table(content, name, table, tables)
    if wrong:
        raise SettingsError(sorted(wrong, key=lambda each: _line_in(each.removeprefix(str(path)))))
    return SettingsFile(str(path), text, server, tables)


def _line_in(place: str) -> int:
    """The line of ":6: wanted …"; 0 where none is told."""
    found = re.match(r":(\d+):", place)
    return 0 if found is None else int(found[1])


def _read_text(path: Path) -> str:
    try:
        # Opening a pipe would wait for its other end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SettingsError([f"{path}: it is no file; wanted a settings file in TOML"])
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError([f"{path}: it cannot be read: {error.strerror or error}"]) from error
    except ValueError as error:  # a path with a NUL
        raise SettingsError([f"{str(path)!r}: it cannot be read: {error}"]) from error
    if len(content) > _MOST_BYTES:
        raise SettingsError([f"{path}: it has more than {_MOST_BYTES} bytes"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError([f"{path}:{line}: it is no UTF-8: {error.reason}"]) from None


def _unknown_tables(file: SettingsFile, document: Mapping[str, Any]) -> Iterator[str]:
    for name, value in document.items():
        place = file.place(name)
        if name in (_SERVER, _MODELS):
            if not isinstance(value, dict):
                wanted = "[server]" if name == _SERVER else "[models.NAME]"
                yield f"{place}: {name} is no table; wanted {wanted} on a line of its own, and its keys below"
        elif name in FLAGS:
            yield f"{place}: {name} stands outside of a table; it belongs in [server]"
        else:
            yield f"{place}: unknown table or key {name!r:.80}; the tables are [server] and [models.NAME]"


def _check_server(file: SettingsFile, server: Mapping[str, Any]) -> Iterator[str]:
    for name in server:
        if name not in FLAGS:
            yield f"{file.place(_SERVER, name)}: [server] {mistakes.of_name(name, FLAGS)}"
    for group in GROUPS.values():
        try:
            # Strict: text for a number is right for a variable, and a mistake here.
            group.model_validate({name: server[name] for name in group.model_fields if name in server}, strict=True)
        except ValidationError as error:
            # Settings that do not fit each other are told once those of all sources are known.
            yield from _wrong_values(file, [each for each in error.errors(include_url=False) if each["loc"]], _SERVER)


def _check_table(file: SettingsFile, name: str, table: object, tables: dict[str, ModelTable]) -> Iterator[str]:
    """Check one table of a model, and add it to the tables."""
    head = table_head(name)
    if not isinstance(table, dict):
        yield f"{file.place(_MODELS, name)}: {head} is no table; wanted its keys below this line"
        return
    unknown = [key for key in table if key not in ModelTable.model_fields]
    for key in unknown:
        yield f"{file.place(_MODELS, name, key)}: {head} {mistakes.of_name(key, ModelTable.model_fields)}"
    for key in table if name == EVERY else ():
        if key in FLAGS:
            yield f"{file.place(_MODELS, name, key)}: {head} {key} belongs in [server], which holds for all models"
    try:
        known = {key: value for key, value in table.items() if key not in unknown}
        tables[name] = ModelTable.model_validate(known, strict=True)
    except ValidationError as error:
        yield from _wrong_values(file, error.errors(include_url=False), _MODELS, name, head=head)


def _wrong_values(
    file: SettingsFile, found: Iterable[ErrorDetails], *path: str, head: str = "[server]"
) -> Iterator[str]:
    of_key: dict[str, list[ErrorDetails]] = {}  # a union tells what each of its kinds wants
    for mistake in found:
        if mistake["loc"]:
            of_key.setdefault(str(mistake["loc"][0]), []).append(mistake)
        else:  # keys that do not fit each other
            yield f"{file.place(*path)}: {head} {mistake['msg'].removeprefix('Value error, ')}"
    for key, (first, *others) in of_key.items():
        words = [each for each in others if each["type"] == "literal_error"]
        yield f"{file.place(*path, key)}: {head} {key} = {mistakes.of_value(first, words)}"

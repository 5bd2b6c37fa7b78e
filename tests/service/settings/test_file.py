"""The settings file: what it may hold, and that each mistake is told by its line."""

import os
from pathlib import Path
from typing import Any

import pytest

from service.errors import SettingsError
from service.settings import FLAGS, ModelTable
from service.settings.file import read_settings_file


def _mistakes(file: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings_file(file)
    return [each.removeprefix(str(file)) for each in caught.value.mistakes]


def test_server_and_models(file: Path) -> None:
    """[server] has the keys of the flags, and a table [models.NAME] what one model has of its own."""
    file.write_text('[server]\ngrpc_port = 9001\n[models.digits]\npriority = 2\n[models."a b"]\nversions = "all"\n')
    found = read_settings_file(file)
    assert found.server == {"grpc_port": 9001}
    assert found.tables == {"digits": ModelTable(priority=2), "a b": ModelTable(versions="all")}
    assert [found.place("server", "grpc_port"), found.place("models", "a b")] == [f"{file}:2", f"{file}:5"]


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf# empty\n", b"[server]\n[models]\n"])
def test_an_empty_file_sets_nothing(file: Path, content: bytes) -> None:
    """No text, only a comment, or empty tables: everything stays at its default."""
    file.write_bytes(content)
    found = read_settings_file(file)
    assert (dict(found.server), dict(found.tables)) == ({}, {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('\n[server]\ngrpc_port = "9001"', ':3: [server] grpc_port = "9001": wanted a whole number'),
        ("[server]\nmax_batch_rows = true", ":2: [server] max_batch_rows = true: wanted a whole number"),
        ("[server]\nmax_batch_rows = 0", ":2: [server] max_batch_rows = 0: wanted at least 1"),
        ("[server]\ngrace_seconds = nan", ":2: [server] grace_seconds = NaN: wanted a finite number"),
        ("[server]\nallow_load = 1", ":2: [server] allow_load = 1: wanted true or false"),
        ("[server]\nmodels = 3", ':2: [server] models = 3: wanted text, e.g. "folder"'),
        ('[server]\nprovider = "tpu"', ':2: [server] provider = "tpu": wanted "cpu" or "cuda"'),
        ('[server]\nworkers = "two"', ':2: [server] workers = "two": wanted a whole number, or "auto"'),
        ("[server]\nworkers = 0", ':2: [server] workers = 0: wanted at least 1, or "auto"'),
        ('[server]\nversions = "x"', ':2: [server] versions = "x": '),
        ("[server]\nmax_batch_row = 1", ':2: [server] unknown key "max_batch_row"; did you mean max_batch_rows?'),
        ("[server]\nport = 1", ':2: [server] unknown key "port"; did you mean grpc_port or http_port?'),
        ("grpc_port = 1", ":1: grpc_port stands outside of a table; it belongs in [server]"),
        ("[sever]", ":1: unknown table or key 'sever'; the tables are [server] and [models.NAME]"),
        ("server = 3", ":1: server is no table"),
        ("[[models]]", ": models is no table"),
        ("[models]\ndigits = 3", ":2: [models.digits] is no table"),
        ("[models.digits]\npriority = 101", ":2: [models.digits] priority = 101: wanted at most 100"),
        ("[models.digits]\nprio = 1", ':2: [models.digits] unknown key "prio"; did you mean priority?'),
        ("[models.digits]\ngrpc_port = 1", ':2: [models.digits] unknown key "grpc_port"'),
        ('[models."*"]\nprovider = "cpu"', ":2: [models.'*'] provider belongs in [server]"),
        ("[models.a]\n[models.a]", ":2: it is no TOML: Cannot declare ('models', 'a') twice"),
        ("[server]\ngrpc_port = ", ":2: it is no TOML: Invalid value"),
        ("[server]\nmax_calls = 9" + 5000 * "9", ": it is no TOML: "),
        ("a = " + 5000 * "[", ": it is nested too deeply"),
        ("[server.grpc_port]", ":1: [server] grpc_port = {}: wanted a whole number"),
    ],
)
def test_a_mistake_is_told_by_its_line(file: Path, text: str, told: str) -> None:
    """The message says where it is, what came and what was wanted."""
    file.write_text(text)
    (mistake,) = _mistakes(file)
    assert mistake.startswith(told)
    assert len(mistake) < 800


def test_all_mistakes_are_told(file: Path) -> None:
    """An operator corrects them in one go, from the first line to the last, whatever table they are in."""
    file.write_text("[models.a]\npriority = 1.5\n[server]\nhttp_port = -1\ngrpc_port = -1\nx = 1\n[oops]\n" + 3 * "\n")
    with file.open("a") as opened:
        opened.write("[models.b]\nprio = 1\n")
    assert [each.split(" ")[0] for each in _mistakes(file)] == [":2:", ":4:", ":5:", ":6:", ":7:", ":12:"]


def _pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda _: None, ": it cannot be read: No such file or directory"),
        (Path.mkdir, ": it is no file"),
        (_pipe, ": it is no file"),
        (lambda path: path.write_bytes(b"\n\n# \xff"), ":3: it is no UTF-8"),
        (lambda path: path.write_bytes(b"#" * (2**16 + 1)), ": it has more than 65536 bytes"),
    ],
    ids=["absent", "folder", "pipe", "latin", "huge"],
)
def test_what_is_no_file_is_told(file: Path, make: Any, told: str) -> None:
    """Nothing blocks, and nothing huge is read."""
    make(file)
    (mistake,) = _mistakes(file)
    assert mistake.startswith(told)


def test_every_flag_is_a_key(file: Path) -> None:
    """The default of each setting, written into a file, is a valid value."""
    defaults = {name: 9000 if field.default is None else field.default for name, field in FLAGS.items()}
    lines = [f"{name} = {_toml(default)}" for name, default in defaults.items()]
    file.write_text("[server]\n" + "\n".join(lines))
    assert read_settings_file(file).server.keys() == FLAGS.keys()


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(str(value) if isinstance(value, Path) else value)

"""Envoy's lines of the access log, through a real pipe."""

import json
import os
from pathlib import Path

import pytest

from service.access import access_log
from service.errors import StartupError
from service.process.envoy.access_lines import AccessLines
from tests.kit.waiting import wait_for


@pytest.fixture(autouse=True)
def _all_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the end of the log wait for its lines, however busy the machine."""
    monkeypatch.setattr(access_log, "_CLOSE_SECONDS", 60.0)


def test_lines_that_come_in_pieces_are_written_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However Envoy cuts them, each is one line of the log, with all that it left at its end; no JSON is an error."""
    file, pipe = tmp_path / "log", tmp_path / "pipe"
    lines = AccessLines(str(file), pipe)
    wanted = [{"n": count, "text": "x" * 100} for count in range(300)]
    text = b"".join(json.dumps(each).encode() + b"\n" for each in wanted[:-1])
    text += b'{"half\n' + json.dumps(wanted[-1]).encode() + b'\n{"killed'
    envoy = os.open(pipe, os.O_WRONLY)
    for at in range(0, len(text), 1000):
        os.write(envoy, text[at : at + 1000])
    os.close(envoy)
    lines.close(60)
    assert [json.loads(each) for each in file.read_text().splitlines()] == wanted
    assert [each.levelname for each in caplog.records] == ["ERROR"] * 2


def test_a_renamed_file_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Envoy's lines follow a rotation without a signal to Envoy."""
    monkeypatch.setattr(access_log, "_LOOK_SECONDS", 0.0)
    file, pipe = tmp_path / "log", tmp_path / "pipe"
    lines = AccessLines(str(file), pipe)
    with pipe.open("w") as envoy:
        print('{"n":1}', file=envoy, flush=True)
        wait_for(file.read_bytes)
        os.rename(file, tmp_path / "log.1")
        print('{"n":2}', file=envoy, flush=True)
    lines.close(60)
    assert [(tmp_path / name).read_text() for name in ("log.1", "log")] == ['{"n":1}\n', '{"n":2}\n']


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """The start fails and says so, before there is a pipe."""
    with pytest.raises(StartupError, match="cannot be written"):
        AccessLines(str(tmp_path / "absent" / "log"), tmp_path / "pipe")
    assert not (tmp_path / "pipe").exists()

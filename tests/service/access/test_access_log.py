"""The access log's file: rotated, full, unread."""

import json
import os
import threading
from pathlib import Path

import pytest

from service.access import access_log
from service.access.access_log import MOST_LINE_BYTES, AccessLog, line
from service.errors import StartupError
from tests.kit.waiting import wait_for


@pytest.fixture
def all_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the end of a log wait for its lines, however busy the machine."""
    monkeypatch.setattr(access_log, "_CLOSE_SECONDS", 60.0)


@pytest.mark.parametrize("text", ["x" * 10_000, "é" * 10_000, "\U0001f600" * 10_000, "\n\x00" * 5000, '"\\' * 5000])
def test_a_line_is_bounded_and_one_line(text: str) -> None:
    """Long texts are cut, so that any line is one write to a pipe; control characters end no line."""
    names = ("request_id", "peer", "token", "certificate", "method", "model", "version")
    made = line(dict.fromkeys(names, text) | {"code": "OK", "rows": 2**60, "milliseconds": 1e300})
    assert len(made) <= MOST_LINE_BYTES
    assert made.count(b"\n") == 1
    assert text.startswith(json.loads(made)["peer"].removesuffix("…"))
    assert len(json.loads(made)["peer"]) > 30


def test_a_short_text_is_not_cut() -> None:
    """Numbers, short texts and null are written as they are."""
    fields = {"a": "x" * 40, "b": None, "c": 3, "d": "x" * 500}
    assert json.loads(line(fields)) == fields


@pytest.mark.usefixtures("all_is_written")
def test_a_renamed_file_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that was renamed, as logrotate does, goes on in a new file; no line is lost."""
    monkeypatch.setattr(access_log, "_LOOK_SECONDS", 0.0)
    file = tmp_path / "log"
    log = AccessLog(str(file))
    log.write({"n": 1})
    wait_for(lambda: file.read_bytes())
    os.rename(file, tmp_path / "log.1")
    log.write({"n": 2})
    log.close()
    assert [(tmp_path / name).read_text() for name in ("log.1", "log")] == ['{"n":1}\n', '{"n":2}\n']
    assert log.lost == 0


@pytest.mark.usefixtures("all_is_written")
def test_lines_of_two_writers_do_not_mix(tmp_path: Path) -> None:
    """Two logs on one file append whole lines."""
    file = tmp_path / "log"
    logs = [AccessLog(str(file)) for _ in range(2)]
    threads = [
        threading.Thread(target=lambda one=one: [one.write({"n": "x" * 400}) for _ in range(500)]) for one in logs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    assert [json.loads(each) for each in file.read_text().splitlines()] == [{"n": "x" * 400}] * 1000


def test_a_pipe_that_nobody_reads_blocks_nobody(tmp_path: Path) -> None:
    """With a full pipe lines are lost beyond a bound, and neither `write` nor `close` waits for the reader."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(str(pipe))
    for _ in range(12_000):
        log.write({"n": "x" * 400})
    assert log.lost > 0
    log.close()
    os.close(reader)  # the thread that waits gets an error and ends


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    """It is an error that names the file."""
    with pytest.raises(StartupError, match="cannot be written: No such file"):
        AccessLog(str(tmp_path / "absent" / "log"))


def test_a_pipe_without_a_reader_is_an_error(tmp_path: Path) -> None:
    """To open it would wait for a reader, and with it the whole server."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(StartupError, match="a pipe that nobody reads; start its reader first"):
        AccessLog(str(pipe))

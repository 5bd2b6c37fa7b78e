import json
import logging
from typing import Literal

import pytest

from service.process.output import log

pytestmark = pytest.mark.usefixtures("logging_restored")


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Each record is one line of JSON, line breaks and traceback inside it."""
    log.set_up("json")
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("a.b").exception("two\nlines: %s", "é")
    logging.getLogger("a.b").debug("not shown")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    record = json.loads(line)
    assert (record["level"], record["logger"], record["message"]) == ("ERROR", "a.b", "two\nlines: é")
    assert "KeyError: 'x'" in record["traceback"]


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level and message, on standard error."""
    log.set_up("text")
    logging.getLogger("a.b").warning("low on %s", "tea")
    assert capsys.readouterr().err.rstrip().endswith("WARNING low on tea")


@pytest.mark.parametrize(("worker", "lines"), [(None, 2), (0, 2), (1, 1)])
def test_what_all_workers_find_is_written_by_the_first(
    worker: int | None, lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line about the settings is left out by every other worker; all other lines are written."""
    log.set_up("text", worker)
    logging.getLogger("a.b").warning("the settings lack %s", "tea", extra={"once": True})
    logging.getLogger("a.b").warning("low on %s", "tea")
    written = capsys.readouterr().err.splitlines()
    assert len(written) == lines
    assert written[-1].endswith("low on tea")


@pytest.mark.parametrize("form", ["text", "json"])
def test_lines_are_bounded(form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]) -> None:
    """A message or an exception of 20 MB gives some thousand characters, with their beginnings and ends."""
    log.set_up(form)
    try:
        raise ValueError("x" * 20_000_000 + " the end")
    except ValueError:
        logging.getLogger("a.b").exception("refused: %s wanted less", "n" * 20_000_000)
    written = capsys.readouterr().err
    assert len(written) < 20_000
    assert "refused: nnn" in written
    assert "wanted less" in written
    assert "the end" in written

"""Lines that can be removed, and input that can be read again."""

import io
from pathlib import Path

import pytest

from service.client.command.printed import Printed, Replay


def test_lines_in_a_file_can_be_removed(tmp_path: Path) -> None:
    """What was there before stays. After another line by another process, nothing is removed."""
    path = tmp_path / "out"
    path.write_text("mine\n")
    with path.open("a", encoding="utf-8") as stream:
        printed = Printed(stream)
        printed.write("é\n")
        assert printed.take_back()
        assert (path.read_text(), printed.lines) == ("mine\n", 0)
        printed.write("é\n")
        stream.flush()
        with path.open("a") as other:
            other.write("theirs\n")
        assert not printed.take_back()
    assert path.read_text() == "mine\né\ntheirs\n"


@pytest.mark.parametrize("is_written", [False, True])
def test_an_interrupt_in_a_write_leaves_lines_that_can_be_removed(tmp_path: Path, is_written: bool) -> None:
    """Whether it comes before the line is written or after it."""
    path = tmp_path / "out"

    class Interrupted(io.TextIOWrapper):
        def write(self, text: str, /) -> int:
            if text == "a\n" or is_written:
                super().write(text)
            if text == "b\n":
                raise KeyboardInterrupt
            return len(text)

    with path.open("wb") as binary, Interrupted(binary, encoding="utf-8") as stream:
        printed = Printed(stream)
        printed.write("a\n")
        with pytest.raises(KeyboardInterrupt):
            printed.write("b\n")
        assert printed.take_back()
        assert path.read_bytes() == b""


@pytest.mark.parametrize("arrive", ["abc", "ab", "a", ""])
def test_lines_that_an_interrupt_has_dropped_do_not_count(tmp_path: Path, arrive: str) -> None:
    """TextIOWrapper forgets the text that it holds back if a signal comes while it hands that on."""
    path = tmp_path / "out"

    class Interrupted(io.TextIOWrapper):
        def write(self, text: str, /) -> int:
            if text[0] in arrive:
                super().write(text)
            if text[0] == "c":
                raise KeyboardInterrupt
            return len(text)

    with path.open("wb") as binary, Interrupted(binary, encoding="utf-8") as stream:
        printed = Printed(stream)
        printed.write("a\n")
        printed.write("b é\n")
        with pytest.raises(KeyboardInterrupt):
            printed.write("c\n")
        assert printed.keep() == len(arrive)
        assert path.read_text().count("\n") == len(arrive)


def test_an_interrupt_before_a_write_does_not_count_its_line(tmp_path: Path) -> None:
    """A signal may come while the line is measured."""

    class Interrupting(str):
        __slots__ = ()

        def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
            raise KeyboardInterrupt

    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        printed = Printed(stream)
        printed.write("a\n")
        with pytest.raises(KeyboardInterrupt):
            printed.write(Interrupting("b\n"))
        assert printed.keep() == 1


def test_a_character_that_the_stream_cannot_hold_is_a_question_mark(tmp_path: Path) -> None:
    """Half of a surrogate pair in a file, and a word on a terminal of another encoding."""
    for encoding, text, wanted in (("utf-8", "\ud800ü\n", "?ü\n"), ("latin-1", "青ü\n", "?ü\n")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        printed = Printed(stream)
        printed.write(text)
        stream.flush()
        assert stream.buffer.getvalue().decode(encoding) == wanted
        assert printed.lines == 1
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        printed = Printed(file)
        printed.write("\ud800\n")
        assert printed.take_back()


def test_the_share_of_a_file_that_has_been_read(tmp_path: Path) -> None:
    """From 0 to 1; a pipe has none, and neither has an empty file."""
    path = tmp_path / "in"
    path.write_bytes(b"12\n45\n")
    with path.open("rb") as stream:
        text = Replay(stream)
        assert text.share_read() == 0.0
        text.readline()
        assert text.share_read() == 0.5
        text.readline()
        assert text.share_read() == 1.0
    assert Replay(io.BytesIO(b"12\n")).share_read() is None
    path.write_bytes(b"")
    with path.open("rb") as stream:
        assert Replay(stream).share_read() is None

"""Files that are taken anew: whole, valid, and only once they rest."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.access import reloaded
from service.access.reloaded import LastValid, ReloadedFiles
from service.errors import StartupError
from tests.kit.waiting import until


def _whole(found: Sequence[bytes]) -> bytes:
    text = b" ".join(found)
    if b"bad" in text:
        raise StartupError("it is bad")
    return text


def test_a_change_is_taken_once_it_rests(tmp_path: Path) -> None:
    """A file that changes between two looks is being written: it is taken when two looks find the same."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    told: list[str] = []
    files = ReloadedFiles("test", [one, two], _whole)
    files.on_taken = lambda: told.append("taken")
    assert files.value == b"1 2"
    one.write_bytes(b"3")
    files.look()
    two.write_bytes(b"4")
    files.look()
    assert files.value == b"1 2"
    files.look()
    assert (files.value, told) == (b"3 4", ["taken"])
    files.look()
    assert told == ["taken"]


@pytest.mark.parametrize("broken", ["bad", "absent", "huge", "folder"])
def test_a_broken_file_changes_nothing_and_says_so_once(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """While a file is invalid, absent or huge the last valid content stays in use; the log tells it once."""
    file = tmp_path / "file"
    file.write_bytes(b"good")
    files = ReloadedFiles("test", [file], _whole)
    file.unlink()
    if broken == "folder":
        file.mkdir()
    elif broken != "absent":
        file.write_bytes(b"bad" if broken == "bad" else bytes(2**22 + 1))
    for _ in range(4):
        files.look()
    assert (files.value, files.is_current) == (b"good", False)
    assert len(caplog.records) == 1
    assert "the last valid content stays in use" in caplog.text
    if broken == "folder":
        file.rmdir()
    file.write_bytes(b"better")
    files.look()
    files.look()
    assert (files.value, files.is_current) == (b"better", True)


def test_a_repair_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whether the file gets its old content back, or a new one."""
    file = tmp_path / "file"
    file.write_bytes(b"good")
    files = ReloadedFiles("test", [file], _whole)
    for content, told in ((b"good", "test: valid again, as before"), (b"better", "test: taken anew")):
        file.write_bytes(b"bad")
        for _ in range(3):
            files.look()
        caplog.clear()
        with caplog.at_level("INFO"):
            file.write_bytes(content)
            for _ in range(3):
                files.look()
        assert [record.getMessage() for record in caplog.records] == [told]


def test_what_was_valid_elsewhere_is_the_start_of_an_invalid_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so, and it is told to nobody. Each valid content is told; a valid file needs no other start."""
    file, told = tmp_path / "file", list[Sequence[bytes]]()
    file.write_bytes(b"bad")
    with pytest.raises(StartupError, match="it is bad"):
        ReloadedFiles("test", [file], _whole, LastValid(None, told.append))
    files = ReloadedFiles("test", [file], _whole, LastValid([b"good"], told.append))
    assert (files.value, files.is_current, told) == (b"good", False, [])
    assert "it is bad; the last valid content stays in use" in caplog.text
    file.write_bytes(b"good")
    files.look()
    assert (files.value, files.is_current, told) == (b"good", True, [])
    file.write_bytes(b"better")
    for _ in range(2):
        files.look()
    assert (files.value, told) == (b"better", [[b"better"]])
    again = ReloadedFiles("test", [file], _whole, LastValid([b"good"], told.append))
    assert (again.value, told) == (b"better", [[b"better"], [b"better"]])


def test_a_file_that_comes_back_as_it_was_is_current(tmp_path: Path) -> None:
    """A broken file that is put back as it was is in use again, without a change."""
    file = tmp_path / "file"
    file.write_bytes(b"good")
    files = ReloadedFiles("test", [file], _whole)
    file.write_bytes(b"bad")
    files.look()
    files.look()
    assert not files.is_current
    file.write_bytes(b"good")
    files.look()
    assert files.is_current


def test_the_start_needs_valid_files(tmp_path: Path) -> None:
    """At the start there is no last valid content: an absent or invalid file is an error that names it."""
    file = tmp_path / "file"
    with pytest.raises(StartupError, match=r"test: .*file.* cannot be read"):
        ReloadedFiles("test", [file], _whole)
    file.write_bytes(b"bad")
    with pytest.raises(StartupError, match=r"test .*file.*: it is bad"):
        ReloadedFiles("test", [file], _whole)


def test_a_path_with_a_nul_is_an_error_of_the_start(tmp_path: Path) -> None:
    """It is told like any other file that cannot be read."""
    with pytest.raises(StartupError, match="cannot be read: embedded null byte"):
        ReloadedFiles("test", [tmp_path / "a\0b"], _whole)


def test_an_unforeseen_error_is_told_and_ends_no_look(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong in a look is logged once, and the next change is taken as ever."""
    file = tmp_path / "file"
    file.write_bytes(b"1")
    files = ReloadedFiles("test", [file], lambda found: int(found[0]))
    file.write_bytes(b"x")
    for _ in range(4):
        files.look()
    assert (files.value, files.is_current) == (1, False)
    assert len(caplog.records) == 1
    assert "ValueError" in caplog.text
    file.write_bytes(b"2")
    files.look()
    files.look()
    assert (files.value, files.is_current) == (2, True)


def test_what_follows_a_change_is_tried_until_it_succeeds(tmp_path: Path) -> None:
    """While `on_taken` fails the files are not current, even if they go back to what they were; then it is called."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    files = ReloadedFiles("test", [file], _whole)
    folder, told = tmp_path / "folder", tmp_path / "folder" / "told"
    files.on_taken = lambda: told.write_bytes(files.value)
    file.write_bytes(b"new")
    files.look()
    files.look()
    assert not files.is_current
    file.write_bytes(b"old")
    files.look()
    assert not files.is_current
    folder.mkdir()
    files.look()
    assert (files.is_current, told.read_bytes()) == (True, b"old")


def test_a_look_that_hangs_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While a read hangs the files are not current; once it ends they are again."""
    monkeypatch.setattr(reloaded, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(reloaded, "_LONGEST_LOOK_SECONDS", 0.01)
    file = tmp_path / "file"
    file.write_bytes(b"old")

    async def check() -> None:
        files = ReloadedFiles("test", [file], _whole)
        file.unlink()
        os.mkfifo(file)  # opening it waits for its other end
        watch = asyncio.create_task(files.watch())
        await until(lambda: not files.is_current)
        with file.open("wb") as pipe:
            file.unlink()
            file.write_bytes(b"new")
            pipe.write(b"half")
        await until(lambda: files.is_current)
        assert files.value == b"new"
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    asyncio.run(check())
    assert "cannot be read in 0.01 s; the last valid content stays in use" in caplog.text


def test_it_is_watched(tmp_path: Path) -> None:
    """The watch takes a change by itself."""
    file = tmp_path / "file"
    file.write_bytes(b"old")

    async def check() -> None:
        loop, taken = asyncio.get_running_loop(), asyncio.Event()
        files = ReloadedFiles("test", [file], _whole)
        files.on_taken = lambda: loop.call_soon_threadsafe(taken.set)
        watch = asyncio.create_task(files.watch())
        file.write_bytes(b"new")
        async with asyncio.timeout(60):
            await taken.wait()
        assert files.value == b"new"
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)

    asyncio.run(check())

"""A change of a file is noticed once, after it has been written."""

import os
from pathlib import Path

from service.settings.file_watch import FileWatch


def _looks(watch: FileWatch, count: int = 3) -> list[bool]:
    return [watch.has_changed() for _ in range(count)]


def test_a_change_counts_after_two_equal_looks(file: Path) -> None:
    """A file that grows between two looks is still being written."""
    file.write_text("a")
    watch = FileWatch(file)
    watch.take()
    assert _looks(watch) == [False, False, False]
    file.write_text("ab")
    assert not watch.has_changed()
    file.write_text("abc")
    assert _looks(watch, 2) == [False, True]
    watch.take()
    assert _looks(watch) == [False, False, False]


def test_at_first_every_file_is_new(file: Path) -> None:
    """What was written between the start and the first look is noticed."""
    file.write_text("a")
    assert _looks(FileWatch(file), 2) == [False, True]


def test_a_file_that_goes_and_comes_back(file: Path) -> None:
    """Both are changes; so is another file of the same size and time."""
    file.write_text("a")
    found = file.stat()
    watch = FileWatch(file)
    watch.take()
    file.unlink()
    assert _looks(watch, 2) == [False, True]
    watch.take()
    assert _looks(watch, 2) == [False, False]
    file.write_text("a")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert _looks(watch, 2) == [False, True]
    watch.take()
    other = file.with_suffix(".other")
    other.write_text("b")
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.rename(file)
    assert _looks(watch, 2) == [False, True]


def test_a_path_that_cannot_be() -> None:
    """It is as absent as any other."""
    watch = FileWatch(Path("a\0b"))
    watch.take()
    assert _looks(watch) == [False, False, False]

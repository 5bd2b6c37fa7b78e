"""A repository that is listed again and again: every change is found, and only changed folders are read."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from service.repository import disk
from service.repository.known_folders import KnownFolders

_Listing = Callable[[], list[tuple[str, int]]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of a with two versions, and of b and c with one each."""
    for name in ("a/1", "a/2", "b/1", "c/1"):
        (tmp_path / "models" / name).mkdir(parents=True)
    return tmp_path / "models"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the folders that are read from now on."""
    found: list[str] = []
    really_read = disk.read_versions

    def read_and_tell(folder: "os.DirEntry[str]") -> list[int]:
        found.append(folder.name)
        return really_read(folder)

    monkeypatch.setattr(disk, "read_versions", read_and_tell)
    return found


@pytest.fixture
def listing(root: Path, monkeypatch: pytest.MonkeyPatch) -> _Listing:
    """Lists the repository as if its last change were an hour ago."""
    folders = KnownFolders(root)
    hour_later = root.stat().st_ctime + 3600
    monkeypatch.setattr("time.time", lambda: hour_later)
    return lambda: folders.list(_told_of_none)


def _told_of_none(name: str, why: str) -> None:
    raise AssertionError((name, why))


def test_a_folder_without_changes_is_read_once(listing: _Listing, read: list[str]) -> None:
    """The result is that of a full list each time."""
    for _ in range(3):
        assert listing() == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
    assert sorted(read) == ["a", "b", "c"]


def test_every_change_is_found(root: Path, listing: _Listing, read: list[str]) -> None:
    """A version that comes or goes, a model that comes or goes, and a folder in the place of another one."""
    listing()
    read.clear()
    (root / "a" / "3").mkdir()
    assert listing() == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1)]
    (root / "a" / "2").rmdir()
    assert listing() == [("a", 1), ("a", 3), ("b", 1), ("c", 1)]
    (root / "c" / "1").rmdir()
    (root / "c").rmdir()
    (root / "d" / "7").mkdir(parents=True)
    assert listing() == [("a", 1), ("a", 3), ("b", 1), ("d", 7)]
    (root / "b").rename(root.parent / "b")
    (root / "d").rename(root / "b")
    assert listing() == [("a", 1), ("a", 3), ("b", 7)]
    assert listing() == disk.list_models(root)
    assert set(read) == {"a", "b", "d"}


def test_a_young_folder_is_read_again(root: Path, read: list[str]) -> None:
    """Within two seconds another change may leave the time of a folder as it is."""
    folders = KnownFolders(root)
    for _ in range(2):
        assert folders.list(_told_of_none) == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]
    assert sorted(read) == ["a", "a", "b", "b", "c", "c"]


def test_what_a_link_leads_to_may_go(root: Path, tmp_path: Path, listing: _Listing) -> None:
    """It goes without a change of the model's own folder."""
    (tmp_path / "elsewhere").mkdir()
    (root / "b" / "2").symlink_to(tmp_path / "elsewhere")
    assert listing() == [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("c", 1)]
    (tmp_path / "elsewhere").rmdir()
    assert listing() == [("a", 1), ("a", 2), ("b", 1), ("c", 1)]


def test_a_model_behind_a_link_is_followed(root: Path, tmp_path: Path, listing: _Listing) -> None:
    """Its folder elsewhere is compared, not the link, and another target is another folder."""
    for name, version in (("first", "4"), ("second", "5")):
        (tmp_path / name / version).mkdir(parents=True)
    (root / "d").symlink_to(tmp_path / "first")
    assert listing()[-1] == ("d", 4)
    (tmp_path / "first" / "6").mkdir()
    assert listing()[-1] == ("d", 6)
    (root / "d").unlink()
    (root / "d").symlink_to(tmp_path / "second")
    assert listing()[-1] == ("d", 5)

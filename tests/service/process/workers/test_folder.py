"""The folders of a running server, that of the workers' counts among them."""

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.errors import StartupError
from service.process.workers.folder import LOCK, LockedFolder, counts_folder, remove_abandoned


def test_a_folder_lasts_as_long_as_its_server(tmp_path: Path) -> None:
    """Two servers have folders of their own, which only this user can read."""
    with counts_folder(tmp_path) as first:
        with counts_folder(tmp_path) as second:
            assert first != second
            assert first.stat().st_mode & 0o777 == 0o700
        assert (first.is_dir(), second.exists()) == (True, False)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_server_is_removed_by_the_next(tmp_path: Path) -> None:
    """Otherwise each kill would keep memory for ever."""
    program = (
        "import pathlib, sys\nfrom service.process.workers.folder import counts_folder\n"
        "with counts_folder(pathlib.Path(sys.argv[1])) as folder: print(folder, flush=True); input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        folder = Path(server.stdout.readline().strip())
        with counts_folder(tmp_path):
            assert folder.is_dir()
        os.kill(server.pid, signal.SIGKILL)
    with counts_folder(tmp_path):
        assert not folder.exists()


def test_a_folder_that_is_removed_before_it_is_locked_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that starts at the same moment takes it for abandoned: then another one is made."""
    lock, removed = fcntl.flock, list[Path]()

    def overtaken(descriptor: int, operation: int) -> None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            with counts_folder(tmp_path):
                pass
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", overtaken)
    with counts_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
        assert [each.exists() for each in removed] == [False]


def test_where_files_cannot_be_locked_nothing_is_removed_or_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on some network file systems. A folder of another server stays as it is, and a new one is taken back."""
    other = LockedFolder.make(tmp_path, "x-")
    os.close(other.lock)
    descriptors = len(os.listdir("/proc/self/fd"))

    def unavailable(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", unavailable)
    remove_abandoned(other.path, seconds=60)
    with pytest.raises(OSError, match=os.strerror(errno.ENOLCK)):
        LockedFolder.make(tmp_path, "x-")
    assert list(tmp_path.iterdir()) == [other.path]
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_without_file_descriptors_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other threads take the last ones before the lock is made. No server would ever remove a folder without a lock."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    make = tempfile.mkdtemp

    def overtaken(prefix: str, dir: Path) -> str:  # noqa: A002 - as the function is called
        made = make(prefix=prefix, dir=dir)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        return made

    monkeypatch.setattr(tempfile, "mkdtemp", overtaken)
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            LockedFolder.make(tmp_path, "x-")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_second_removal_closes_nothing(tmp_path: Path) -> None:
    """By then the number of the descriptor may be another file's."""
    folder = LockedFolder.make(tmp_path, "x-")
    number = folder.lock
    folder.remove()
    with (tmp_path / "file").open("wb") as stranger:
        os.dup2(stranger.fileno(), number)
        folder.remove()
        os.fstat(number)  # raises if it was closed
        if number != stranger.fileno():
            os.close(number)


def test_without_a_place_the_server_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the memory nor the usual place for temporary files can be written."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(StartupError, match="temporary folder"), counts_folder(tmp_path / "absent too"):
        pass


def test_only_abandoned_folders_of_this_user_are_removed(tmp_path: Path) -> None:
    """A folder stays that others may enter, that has no lock, or to which a link leads: it may be anybody's. So does
    one whose lock is held by a process that has inherited it.
    """
    made = [LockedFolder.make(tmp_path, f"{name}-") for name in ("open", "unlocked", "linked", "inherited", "left")]
    opened, unlocked, linked, inherited, left = (each.path for each in made)
    for each in made:
        (each.path / "socket").touch()
    opened.chmod(0o755)
    (unlocked / LOCK).unlink()
    link = tmp_path / "a link"
    link.symlink_to(linked)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[made[3].lock]) as heir:
        for each in made:
            os.close(each.lock)
        for path in (opened, unlocked, link, inherited, left, tmp_path / "absent"):
            remove_abandoned(path)
        assert [each.path.exists() for each in made] == [True, True, True, True, False]
        assert heir.stdin is not None
        heir.stdin.close()
    remove_abandoned(inherited)
    assert not inherited.exists()
    assert (linked / "socket").exists()


def test_a_removal_that_is_killed_is_ended_by_the_next_server(tmp_path: Path) -> None:
    """The lock goes last, so what is left is found. Links inside lead to nothing that is removed."""
    keep = tmp_path / "keep"
    keep.mkdir()
    program = (
        "import os, pathlib, shutil, sys\nfrom service.process.workers.folder import LockedFolder, remove\n"
        "folder = LockedFolder.make(pathlib.Path(sys.argv[1]), 'x-')\n(folder.path / 'inside').mkdir()\n"
        "(folder.path / 'link').symlink_to(sys.argv[2])\n"
        "end = shutil.rmtree\nshutil.rmtree = lambda path, **_: end(path) or os.kill(os.getpid(), 9)\n"
        "remove(folder.path)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path), str(keep)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.glob("x-*")
    assert (left / LOCK).is_file()
    LockedFolder.make(tmp_path, "x-").remove()
    assert list(tmp_path.iterdir()) == [keep]

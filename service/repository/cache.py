"""Versions that were read from storage, kept on disk: the next start needs no download, and no storage.

Laid out as a model repository. Any number of servers may share it: a version comes into its place, and leaves it, by
one rename, and whoever finds it gone in the middle of reading reads it from the storage again.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.errors import StartupError, StorageError
from service.repository.disk import Version, list_models

# How long a version stays that no server has said it uses.
_UNUSED_SECONDS = 3600.0
# In the cache and in each staging folder.
_LOCK = ".lock"
# A version this young may be newer than the listing that does not have it: another server put it here.
_YOUNG_SECONDS = 60.0


class Cache:
    """The versions of one repository.

    Args:
        folder: Where caches lie; a folder of the user's where None is given.
        url: The repository's address: each has a cache of its own.
        clock: Seconds as files' times have them.

    Attributes:
        root: The cache, laid out as a model repository.

    Raises:
        StartupError: The folder cannot be written.
    """

    def __init__(self, folder: Path | None, url: str, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        url = url.rstrip("/")
        readable = re.sub(r"[^A-Za-z0-9.]+", "-", url.split("@")[-1]).strip("-.")[-60:]
        name = f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
        try:
            self.root = (folder or _default_folder()) / name
            self.root.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._remove_abandoned()
        except OSError as error:
            where = str(folder or "of this user")
            raise StartupError(f"cache folder {where!r} cannot be written: {error}; set cache_folder") from error

    def fingerprint(self, name: str, version: int) -> str:
        """What the listing said of a version's files when they were read; "" where it is not here."""
        try:
            return (self.root / name / str(version) / "stamp").read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder to build a version in, as <name>/<version>; it goes at the end of the with block.

        What else lies in it begins with a dot, which no model's name does.

        A process that is killed leaves it behind without its lock: the next to tidy up removes it.

        Raises:
            StorageError: The disk is full, or does not take what is built.
        """
        with _told("written"):
            with self._alone():
                folder = Path(tempfile.mkdtemp(prefix=".", dir=self.root))
                lock = (folder / _LOCK).open("w")
                fcntl.flock(lock, fcntl.LOCK_EX)
            with lock:
                try:
                    yield folder
                except Exception as error:
                    if folder.is_dir():
                        raise
                    # What is missing is so because of that: no reason to refuse what lies in the storage.
                    raise StorageError("the cache folder has gone in the middle of a download") from error
                finally:
                    shutil.rmtree(folder, ignore_errors=True)

    def room_for(self, file: str, size_bytes: int) -> None:
        """Say so before a download that the disk cannot take.

        Raises:
            StorageError: It has less room.
        """
        with _told("read"):
            free = shutil.disk_usage(self.root).free
        if free < size_bytes:
            raise StorageError(f"cache folder {str(self.root)!r} has less room than the {size_bytes} bytes of {file}")

    def put(self, staging: Path, name: str, version: int, fingerprint: str) -> None:
        """Move a version from a staging folder to its place; what was there goes.

        Raises:
            StorageError: The disk is full, or does not take it.
        """
        target = self.root / name / str(version)
        with _told("written"), self._alone():
            (staging / name / str(version) / "stamp").write_text(fingerprint)
            target.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                target.rename(staging / ".old")
            (staging / name / str(version)).rename(target)

    def evict(self, listed: Collection[Version], served: Collection[Version]) -> None:
        """Remove what nobody needs.

        What is served is marked as used: other servers that share the cache then leave it. A model of which nothing is
        listed any more is left, as a server goes on serving it.

        Args:
            listed: The storage's versions.
            served: Those that answer here.

        Raises:
            StorageError: The folder cannot be written.
        """
        models = {name for name, _ in listed}
        now = self._clock()
        with _told("written"), self._alone():
            self._remove_abandoned()
            for name, version in list_models(self.root):
                folder = self.root / name / str(version)
                withdrawn = name in models and (name, version) not in listed
                if (name, version) in served and not withdrawn:
                    for file in folder.iterdir():
                        os.utime(file, (now, now))
                    continue
                age = now - _used(folder)
                if age > _UNUSED_SECONDS or (withdrawn and age > _YOUNG_SECONDS):
                    self._remove(folder)

    def _remove(self, folder: Path) -> None:
        """Take a version out of its place at one blow; a process killed in the middle leaves what is no version."""
        # By a name that is there for nothing else: a folder for it could not be made on a full disk.
        aside = self.root / ".old"
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):  # the model has other versions
            folder.parent.rmdir()

    def _remove_abandoned(self) -> None:
        """Remove staging folders whose process has gone; those that are in use are locked."""
        for folder in self.root.glob(".*/"):
            try:
                with (folder / _LOCK).open() as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:
                continue
            except FileNotFoundError:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """For moves: a staging folder is made and locked, and a version moved, with no other server between."""
        with (self.root / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the disk as ours."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"the cache folder cannot be {what}: {error}") from error


def _used(folder: Path) -> float:
    """When a server last said that it uses a version, or put it here."""
    try:
        return (folder / "stamp").stat().st_mtime
    except OSError:
        return 0.0


def _default_folder() -> Path:
    """The user's cache folder; where there is none, as in many containers, one among the temporary files."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(OSError, RuntimeError):  # the latter for a user that has no name
        folder = (Path(given) if given else Path.home() / ".cache") / "kan-serving"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    folder = Path(tempfile.gettempdir()) / f"kan-serving-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Anybody can make a folder there, and models of his in it.
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is another user's, or others may write to it")
    return folder

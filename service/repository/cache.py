"""Versions from object storage, kept on disk, so that the next start needs neither a download nor the storage.

The cache has the layout of a model repository. Any number of servers may share it: one rename puts a version in its
place, and one rename removes it. A server that loses a version while reading it reads it from the storage again.
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

# A version is kept for this long after a server last marked it as used.
_UNUSED_SECONDS = 3600.0
# Name of the lock file, in the cache and in each staging folder.
_LOCK = ".lock"
# A version this young may be absent from an older listing, because another server has put it here since.
_YOUNG_SECONDS = 60.0


class Cache:
    """The cache of one repository.

    Args:
        folder: Contains the caches; None takes the user's cache folder.
        url: The address of the repository. Each address has its own cache.
        clock: Seconds since the epoch, as in the times of files.

    Attributes:
        root: The folder of this cache, with the layout of a model repository.

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
            with self._lock():
                self._remove_abandoned()
        except OSError as error:
            where = str(folder or "of this user")
            raise StartupError(f"cache folder {where!r} cannot be written: {error}; set cache_folder") from error

    def fingerprint(self, name: str, version: int) -> str:
        """The fingerprint of a version's files when they were read from the storage; "" if it is not cached."""
        try:
            return (self.root / name / str(version) / "stamp").read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder to build a version in, as <name>/<version>. It is removed at the end of the with block.

        Other files in it begin with a dot, which no name of a model does.

        A process that is killed leaves the folder behind without its lock. The next eviction removes it.

        Raises:
            StorageError: The disk is full, or cannot be written.
        """
        with _raise_storage_error("written"):
            with self._lock():
                folder = Path(tempfile.mkdtemp(prefix=".", dir=self.root))
                lock = (folder / _LOCK).open("w")
                fcntl.flock(lock, fcntl.LOCK_EX)
            with lock:
                try:
                    yield folder
                except Exception as error:
                    if folder.is_dir():
                        raise
                    # The error comes from the removed folder. It is no reason to refuse the version in the storage.
                    raise StorageError("the cache folder has gone in the middle of a download") from error
                finally:
                    shutil.rmtree(folder, ignore_errors=True)

    def room_for(self, file: str, size_bytes: int) -> None:
        """Check, before a download, that the disk has room for a file.

        Raises:
            StorageError: The disk has too little room.
        """
        with _raise_storage_error("read"):
            free = shutil.disk_usage(self.root).free
        if free < size_bytes:
            raise StorageError(f"cache folder {str(self.root)!r} has less room than the {size_bytes} bytes of {file}")

    def put(self, staging: Path, name: str, version: int, fingerprint: str) -> None:
        """Move a version from a staging folder to its place, instead of a version that is there.

        Raises:
            StorageError: The disk is full, or cannot be written.
        """
        target = self.root / name / str(version)
        with _raise_storage_error("written"), self._lock():
            (staging / name / str(version) / "stamp").write_text(fingerprint)
            target.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                target.rename(staging / ".old")
            (staging / name / str(version)).rename(target)

    def add(self, staging: Path, name: str, version: int, file: str) -> None:
        """Move one more file from a staging folder to a version that is in the cache. Another version stays as it is.

        Raises:
            StorageError: The disk is full, or cannot be written.
        """
        target = self.root / name / str(version)
        with _raise_storage_error("written"), self._lock():
            if target.is_dir():
                (staging / name / str(version) / file).rename(target / file)

    def evict(self, listed: Collection[Version], served: Collection[Version]) -> None:
        """Remove versions that no server uses.

        Served versions are marked as used, so that other servers with the same cache keep them. The versions of a model
        that is not listed at all any more are kept until their time is over, because a server keeps serving them.

        Args:
            listed: The versions in the storage.
            served: The versions that answer in this server.

        Raises:
            StorageError: The folder cannot be written.
        """
        models = {name for name, _ in listed}
        now = self._clock()
        with _raise_storage_error("written"), self._lock():
            self._remove_abandoned()
            for name, version in list_models(self.root):
                folder = self.root / name / str(version)
                withdrawn = name in models and (name, version) not in listed
                if (name, version) in served and not withdrawn:
                    for file in folder.iterdir():
                        os.utime(file, (now, now))
                    continue
                age = now - _last_used(folder)
                if age > _UNUSED_SECONDS or (withdrawn and age > _YOUNG_SECONDS):
                    self._remove(folder)

    def _remove(self, folder: Path) -> None:
        """Remove a version with one rename first, so that a killed process leaves no half of a version."""
        # The target is a fixed name in the cache: on a full disk no new folder could be made for it.
        aside = self.root / ".old"
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
        with suppress(OSError):  # the model has other versions
            folder.parent.rmdir()

    def _remove_abandoned(self) -> None:
        """Remove staging folders whose process has ended. A folder in use is locked."""
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
    def _lock(self) -> Iterator[None]:
        """Hold the lock of the cache, so that no other server moves a version or removes a folder meanwhile."""
        with (self.root / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def _raise_storage_error(what: str) -> Iterator[None]:
    """Raise a StorageError in the place of an OSError."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"the cache folder cannot be {what}: {error}") from error


def _last_used(folder: Path) -> float:
    """The time when a server last marked a version as used, or put it here."""
    try:
        return (folder / "stamp").stat().st_mtime
    except OSError:
        return 0.0


def _default_folder() -> Path:
    """The user's cache folder; if there is none, as in many containers, a folder among the temporary files."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(OSError, RuntimeError):  # RuntimeError: the user has no name, so no home folder
        folder = (Path(given) if given else Path.home() / ".cache") / "kan-serving"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    folder = Path(tempfile.gettempdir()) / f"kan-serving-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Any user can create a folder there, and put models into it.
    found = folder.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} is another user's, or others may write to it")
    return folder

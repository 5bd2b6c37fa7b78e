"""Temporary folders of a running server. What a killed server left is removed by a next one.

A folder has a lock, which the processes that use it hold and which the kernel releases when they end. So nobody has to
guess from process numbers whether a folder is still used.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from service.errors import StartupError

# Memory that looks like a file system: counts are written there thousands of times a second.
MEMORY = Path("/dev/shm")
# The file in a folder that is locked.
LOCK = "kan-serve.lock"
_COUNTS = "kan-serve-workers-"
_POLL_SECONDS = 0.01


class LockedFolder:
    """An empty folder that only this user can enter. Made by :meth:`make`.

    Attributes:
        path: Where it is.
        lock: File descriptor of its lock, -1 after the removal. A process that inherits it holds the lock too.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock

    @classmethod
    def make(cls, above: Path, prefix: str) -> Self:
        """Make one, and remove the abandoned ones with this prefix.

        Between `os.open` and `flock` a server that starts at the same moment may lock the file itself and remove the
        folder. Then another one is made.

        Raises:
            OSError: There is no place for it, files cannot be locked there, or too many are open. Nothing is left.
        """
        for other in above.glob(f"{prefix}*"):
            remove_abandoned(other)
        while True:
            path = Path(tempfile.mkdtemp(prefix=prefix, dir=above))
            try:
                made = cls(path, os.open(path / LOCK, os.O_CREAT | os.O_RDWR, 0o600))
            except OSError:  # for example, no file descriptor is left. Without a lock no other server would remove it
                path.rmdir()
                raise
            try:
                fcntl.flock(made.lock, fcntl.LOCK_EX)
            except OSError:
                made.remove()
                raise
            if (path / LOCK).exists():
                return made
            os.close(made.lock)

    def remove(self) -> None:
        """Remove it with all that is in it. A second call does nothing."""
        lock, self.lock = self.lock, -1
        if lock >= 0:
            remove(self.path)
            os.close(lock)


@contextmanager
def counts_folder(where: Path = MEMORY) -> Iterator[Path]:
    """An empty folder for the workers' counts during a with block.

    Args:
        where: The folder above it; the usual place for temporary files if it cannot be written.

    Raises:
        StartupError: There is no place for a folder.
    """
    try:
        above = where if os.access(where, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
        folder = LockedFolder.make(above, _COUNTS)
    except OSError as error:
        raise StartupError(f"several workers need a temporary folder that they may write in: {error}") from error
    try:
        yield folder.path
    finally:
        folder.remove()


def remove(path: Path) -> None:
    """Remove a folder, its lock last: a next server finds what this process leaves if it is killed meanwhile."""
    try:
        inside = [each for each in path.iterdir() if each.name != LOCK]
    except OSError:  # it has gone already
        return
    for each in inside:
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        else:
            with suppress(OSError):
                each.unlink()
    shutil.rmtree(path, ignore_errors=True)


def remove_abandoned(path: Path, seconds: float = 0.0) -> None:
    """Remove a folder if it is one of this user's :class:`LockedFolder` that no process holds.

    Args:
        path: The folder. Links and folders of other users or modes are left alone, and those whose lock cannot be asked
            for, as on some network file systems.
        seconds: How long to wait for a process that is ending.
    """
    deadline = time.monotonic() + seconds
    while (lock := _open_lock(path)) is not None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return
        except OSError:
            return
        finally:
            os.close(lock)
        time.sleep(_POLL_SECONDS)


def _open_lock(path: Path) -> int | None:
    """The lock of a folder of this user; None if the folder is another one, or is just being made."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        found = os.fstat(folder)
        # Below a folder with the set-group-ID bit, such as a volume of Kubernetes, new folders have that bit too.
        if found.st_uid != os.geteuid() or found.st_mode & 0o777 != 0o700:
            return None
        return os.open(LOCK, os.O_RDWR | os.O_NOFOLLOW, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)

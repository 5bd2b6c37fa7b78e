"""The folder of the workers' counts, in memory. One that a killed kan-serve left is removed by the next."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import StartupError

# Memory that looks like a file system: counts are written there thousands of times a second.
MEMORY = Path("/dev/shm")
_PREFIX = "kan-serve-workers-"
# Locked for as long as its kan-serve lives.
_LOCK = "lock"


@contextmanager
def counts_folder(where: Path = MEMORY) -> Iterator[Path]:
    """An empty folder during a with block. Only this user can read it.

    Args:
        where: The folder above it; the usual place for temporary files if it cannot be written.

    Raises:
        StartupError: There is no place for a folder.
    """
    try:
        above = where if os.access(where, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
        _remove_abandoned(above)
        path, lock = _make_locked(above)
    except OSError as error:
        raise StartupError(f"several workers need a temporary folder that they may write in: {error}") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _make_locked(above: Path) -> tuple[Path, int]:
    """A new folder and its lock.

    Between `os.open` and `flock` a server that starts at the same moment may lock the file itself and remove the
    folder. Then another one is made.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
        lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (path / _LOCK).exists():
            return path, lock
        os.close(lock)


def _remove_abandoned(above: Path) -> None:
    """Remove the folders of servers that were killed with all their workers."""
    for path in above.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(path / _LOCK, os.O_RDWR)
        except OSError:  # another user's, or one that is just being made
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)

"""Hidden folders beside a model's versions: publishers write there, and remove what killed publishers left.

A publisher holds a lock (flock) on its folder. The kernel releases the lock when the process ends, however it ends. Not
every network file system shares locks between machines. So the folder's name holds the id of the machine's boot, and a
free lock counts only on the same boot.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".publishing-"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def staging_folder(model_folder: Path) -> Iterator[Path]:
    """A new hidden folder in a model's folder, for the length of a with block; it may be renamed away."""
    folder, descriptor = _locked_folder(model_folder)
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(model_folder: Path) -> tuple[str, ...]:
    """Remove the hidden folders of publishers that have ended.

    Returns:
        A warning for each folder of which that cannot be known; it is left.
    """
    own = _own_prefix()
    warnings = []
    for folder in sorted(model_folder.glob(f"{_PREFIX}*")):
        known = own != _PREFIX and folder.name.startswith(own)
        if not (known and _removed_or_in_use(folder)):
            warnings.append(
                f"warning   {folder} is a publisher's, perhaps on another machine or of an older kan-train; "
                "if none is at work there, remove the folder"
            )
    return tuple(warnings)


def write_file(path: Path, content: bytes) -> None:
    """Write a file and flush it to disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Flush the folder to disk, so that its file names survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _own_prefix() -> str:
    """How names of folders begin that are locked on this boot of this machine; _PREFIX alone where it has no id."""
    try:
        return f"{_PREFIX}{_BOOT_ID.read_text().strip().replace('-', '')}-"
    except OSError:
        return _PREFIX


def _locked_folder(model_folder: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_own_prefix(), dir=model_folder))
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            with suppress(OSError):  # no locks on this file system: nobody can take one there, and the folder is left
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_open_at(folder, descriptor):
                return folder, descriptor
            # Another publisher looked between the two lines, saw no lock and removed the folder.
            os.close(descriptor)


def _removed_or_in_use(folder: Path) -> bool:
    """Whether the folder is gone now, or its publisher is known to be at work."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return not folder.exists()


def _is_open_at(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False

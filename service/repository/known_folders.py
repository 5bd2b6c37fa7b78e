"""The folders of a repository, listed again and again: one that has not changed since is not read again.

Of 10,000 models that takes a third of the time of reading all folders (`python -m benchmarks.many_models`).
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from service.repository import disk
from service.repository.disk import Version

# A folder may change twice between two ticks of a file system's clock: the second change then leaves its time as it is.
# FAT's clock is the slowest, with two seconds.
_TICK_SECONDS = 2.0

# A list of thousands leaves the cores to calls in between: one or two milliseconds of work, then a pause.
_FOLDERS_AT_ONCE, _PAUSE_SECONDS = 200, 4e-3

# The inode of a folder, and the time of its last change in nanoseconds.
_State = tuple[int, int]


class KnownFolders:
    """Remembers the versions in each folder.

    Args:
        root: The folder of the repository.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, tuple[_State, list[int]]] = {}

    def list(self, passed_over: Callable[[str, str], None]) -> list[Version]:
        """As :func:`service.repository.disk.list_models`; takes 20 µs a folder or more, most of them asleep."""
        known, found = self._known, dict[str, tuple[_State, list[int]]]()
        oldest_open_ns = int(1e9 * (time.time() - _TICK_SECONDS))

        def versions_in(folder: "os.DirEntry[str]") -> list[int]:
            at = folder.stat()
            state = at.st_ino, at.st_ctime_ns
            before = known.get(folder.name)
            if before is not None and before[0] == state:
                found[folder.name] = before
                if len(found) % _FOLDERS_AT_ONCE == 0:
                    time.sleep(_PAUSE_SECONDS)
                return before[1]
            versions = disk.read_versions(folder)
            # What a link leads to may come and go without a change of this folder.
            has_link = any(os.path.islink(os.path.join(folder.path, str(version))) for version in versions)
            if at.st_ctime_ns < oldest_open_ns and not has_link:
                found[folder.name] = state, versions
            return versions

        listed = disk.list_models(self._root, passed_over, versions_in)
        self._known = found
        return listed

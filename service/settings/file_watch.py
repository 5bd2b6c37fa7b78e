"""Notices that a file has changed."""

from pathlib import Path

# Of a file: when it was written, its size, and which file it is. None where there is none.
_Signature = tuple[int, int, int] | None


class FileWatch:
    """Looks at a file again and again.

    A change counts once two looks in a row have seen the same: a file that is being written is left alone.

    Args:
        path: The file. It need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken: object = object()  # at first every file is new
        self._seen: object = object()

    def has_changed(self) -> bool:
        """Whether the file has changed since `take`, and not since the last look."""
        before, self._seen = self._seen, self._signature()
        return self._seen == before and self._seen != self._taken

    def take(self) -> None:
        """Note the file as it is now. Call it before the file is read."""
        self._taken = self._signature()

    def _signature(self) -> _Signature:
        try:
            found = self._path.stat()
        except (OSError, ValueError):  # ValueError: a path with a NUL
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

"""Files that are taken anew when they change: tokens, certificates."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from service.errors import StartupError

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")

_LOOK_SECONDS: Final = 1.0
# A thousand tokens take 200 KB, a bundle of all public authorities 250 KB.
_MOST_BYTES: Final = 4 * 2**20


class ReloadedFiles(Generic[_Value]):
    """What some files say together. A change is taken once two looks in a row find the same, or a file that is being
    written would be taken half. Files that are absent or invalid change nothing: the last valid content stays in use.

    The content is compared and not the time: Kubernetes swaps a symbolic link, and some editors keep the time.

    Args:
        what: The files' purpose, for messages.
        files: Are read together.
        parse: Gives the value for the files' bytes; raises StartupError.

    Attributes:
        value: In use.
        on_taken: Is called after each change that was taken, in the thread that looked.
        is_current: Whether it is what the files say now; False while they are invalid.

    Raises:
        StartupError: The files cannot be read, or are invalid.
    """

    def __init__(self, what: str, files: Sequence[Path], parse: Callable[[Sequence[bytes]], _Value]) -> None:
        self.is_current = True
        self.on_taken: Callable[[], object] = lambda: None
        self._what = what
        self._files = files
        self._parse = parse
        self._told = ""
        self._taken = self._seen = self._read()
        self.value = self._parsed(self._taken)

    async def watch(self) -> None:
        """Look once a second, for as long as it runs."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Look at the files, and take them if they have changed and rest."""
        try:
            found = self._read()
            if found == self._taken:
                self._told, self.is_current = "", True
            elif found == self._seen:
                self.value = self._parsed(found)
                self._taken, self._told, self.is_current = found, "", True
                _log.info("%s: taken anew", self._what)
                self.on_taken()
            self._seen = found
        except StartupError as error:
            self.is_current = False
            if self._told != str(error):
                self._told = str(error)
                _log.error("%s; the last valid content stays in use", error)

    def _read(self) -> Sequence[bytes]:
        return [self._read_file(file) for file in self._files]

    def _read_file(self, file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                content = opened.read(_MOST_BYTES + 1)
        except OSError as error:
            raise StartupError(f"{self._what}: {str(file)!r} cannot be read: {error.strerror or error}") from error
        if len(content) > _MOST_BYTES:
            raise StartupError(f"{self._what}: {str(file)!r} is longer than {_MOST_BYTES} bytes")
        return content

    def _parsed(self, found: Sequence[bytes]) -> _Value:
        try:
            return self._parse(found)
        except (StartupError, OSError) as error:  # OSError: a file that went away meanwhile
            raise StartupError(f"{self._what} ({', '.join(map(str, self._files))}): {error}") from error

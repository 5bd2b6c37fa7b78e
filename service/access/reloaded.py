"""Files that are taken anew when they change: tokens, certificates."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from service.errors import StartupError

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")

_LOOK_SECONDS: Final = 1.0
# A look takes milliseconds; on a network file system that is away it may take for ever.
_LONGEST_LOOK_SECONDS: Final = 10.0
# A thousand tokens take 200 KB, a bundle of all public authorities 250 KB.
_MOST_BYTES: Final = 4 * 2**20


@dataclass(frozen=True)
class LastValid:
    """What other processes of this server know of some files.

    Attributes:
        content: The last valid bytes of each file; None if there were none.
        tell: Is called with each valid content, in any thread.
    """

    content: Sequence[bytes] | None
    tell: Callable[[Sequence[bytes]], None]


class ReloadedFiles(Generic[_Value]):
    """What some files say together. A change is taken once two looks in a row find the same, or a file that is being
    written would be taken half. Files that are absent or invalid change nothing: the last valid content stays in use.

    The content is compared and not the time: Kubernetes swaps a symbolic link, and some editors keep the time.

    Args:
        what: The files' purpose, for messages.
        files: Are read together.
        parse: Gives the value for the files' bytes; raises StartupError.
        start: With what it starts if the files are invalid, and who hears of valid ones; None: the files must be valid.
        restore: Gives the value for bytes of `start`, which were valid in another process; as `parse` by default.
        follow: Is called with the value in use and the one that is to follow it; raises StartupError if it may not.

    Attributes:
        value: In use.
        on_taken: Is called after each change of the value, in the thread that looked. If it fails, the next look calls
            it again.
        is_current: Whether it is what the files say now; False while they are invalid.

    Raises:
        StartupError: The files cannot be read, or are invalid.
    """

    def __init__(
        self,
        what: str,
        files: Sequence[Path],
        parse: Callable[[Sequence[bytes]], _Value],
        start: "LastValid | None" = None,
        restore: Callable[[Sequence[bytes]], _Value] | None = None,
        follow: Callable[[_Value, _Value], None] = lambda _old, _new: None,
    ) -> None:
        self.is_current = True
        self.on_taken: Callable[[], object] = lambda: None
        self._what = what
        self._files = files
        self._parse = parse
        self._follow = follow
        self._told = ""
        self._report_valid = start.tell if start is not None else lambda _: None
        self._taken: Sequence[bytes] | None
        known = None if start is None else start.content
        try:
            self._seen = self._taken = self._read()
            # Where other processes would keep their content and not take these files, this one does the same.
            self.value = self._parsed(self._seen, [] if known is None else [(restore or parse)(known)])
            self._report_valid(self._seen)
        except StartupError as error:
            if known is None:
                raise
            self._seen = self._taken = known
            self.value = (restore or parse)(known)
            self._keep(str(error))

    async def watch(self) -> None:
        """Look once a second, for as long as it runs."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            looking = asyncio.create_task(asyncio.to_thread(self.look))
            try:
                await asyncio.wait({looking}, timeout=_LONGEST_LOOK_SECONDS)
                if not looking.done():
                    self._keep(f"{self._what}: they cannot be read in {_LONGEST_LOOK_SECONDS:g} s")
                await looking
            finally:
                looking.cancel()

    def look(self) -> None:
        """Look at the files, and take them if they have changed and rest. Raises nothing."""
        try:
            found = self._read()
            is_new = found != self._taken and found == self._seen
            if is_new:
                self.value = self._parsed(found, [self.value])
                self._taken = None  # until all has been done
                self.on_taken()
                self._taken = found
                self._report_valid(found)
                _log.info("%s: taken anew", self._what)
            self._seen = found
            if found == self._taken:
                if self._told and not is_new:
                    _log.info("%s: valid again, as before", self._what)
                self._told, self.is_current = "", True
        except StartupError as error:
            self._keep(str(error))
        except Exception as error:  # without the watch, a token that is taken away would stay valid for ever
            self._keep(f"{self._what}: they cannot be taken anew: {type(error).__name__}: {error}")

    def _keep(self, reason: str) -> None:
        """Stay with the last valid content, and say so once for each reason."""
        self.is_current = False
        if self._told != reason:
            self._told = reason
            _log.error("%s; the last valid content stays in use", reason)

    def _read(self) -> Sequence[bytes]:
        return [self._read_file(file) for file in self._files]

    def _read_file(self, file: Path) -> bytes:
        try:
            with file.open("rb") as opened:
                content = opened.read(_MOST_BYTES + 1)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            reason = getattr(error, "strerror", None) or error
            raise StartupError(f"{self._what}: {str(file)!r} cannot be read: {reason}") from error
        if len(content) > _MOST_BYTES:
            raise StartupError(f"{self._what}: {str(file)!r} is longer than {_MOST_BYTES} bytes")
        return content

    def _parsed(self, found: Sequence[bytes], before: Sequence[_Value]) -> _Value:
        """The value of these bytes, if it may follow each one before."""
        try:
            value = self._parse(found)
            for each in before:
                self._follow(each, value)
            return value
        except (StartupError, OSError) as error:  # OSError: a file that went away meanwhile
            raise StartupError(f"{self._what} ({', '.join(map(str, self._files))}): {error}") from error

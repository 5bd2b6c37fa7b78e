"""Object storage by way of fsspec: what lies under a URL, and the bytes of one file. Every call blocks."""

import importlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.errors import StartupError, StorageError, excerpt

_LIST_SECONDS = 30.0
# A file gets this long, and a second more for each of so many bytes.
_FETCH_SECONDS = 60.0
_SLOWEST_BYTES_A_SECOND = 2**20
_PIECE_BYTES = 8 * 2**20
# Of what a library says: some give the whole answer of a proxy.
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class StoredFile:
    """One file as the listing has it.

    Attributes:
        size_bytes: Its size.
        fingerprint: All that the listing says of it (time, ETag, …): another one means another content.
    """

    size_bytes: int
    fingerprint: str


class Storage:
    """The files under one URL. fsspec is imported here and nowhere else, so that a plain folder does without.

    Args:
        url: "s3://bucket/prefix", "file:///folder" or another address that fsspec knows. Credentials and the like are
            what the library behind it finds in the environment.
        clock: Monotonic seconds.

    Raises:
        StartupError: What reads such an address is not installed, or no one knows it.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        # Names and passwords in an address are for nobody's log; a password may hold any sign, "/" and "@" too.
        self.shown_url = re.sub(r"//(.*:.*|[^/@]*)@", "//", url)
        self._secret = self.shown_url != url
        self._clock = clock
        try:
            core = importlib.import_module("fsspec.core")
            # Each look must ask anew, and each of these be configured anew.
            self._system, self._root = core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            raise StartupError(
                f"model repository {self.shown_url!r} needs a package that is not installed ({error}): "
                "pip install 'kan-serving[storage]'"
            ) from error
        except Exception as error:  # each library has its own way to say what it does not like
            raise StartupError(
                f"model repository {self.shown_url!r} is no address to read from: {self._said(error)}"
            ) from error
        if not self._root.strip("/"):
            raise StartupError(f"model repository {self.shown_url!r} names no bucket or folder")
        self._root = self._root.rstrip("/") + "/"

    def list_files(self) -> dict[str, StoredFile]:
        """Every file, by its path below the URL.

        Raises:
            StorageError: The storage does not answer, or refuses to.
        """
        try:
            self._system.invalidate_cache()
            found = self._system.find(self._root, detail=True, **self._within(_LIST_SECONDS))
            # A folder that is not there, or may not be read, is empty to fsspec, as an object store's is.
            if not found and "file" in self._system.protocol:
                if not os.path.isdir(self._root):
                    raise FileNotFoundError("No such folder")
                os.scandir(self._root).close()
        except Exception as error:  # as above
            raise self._error(error, _LIST_SECONDS) from error
        return {
            path[len(self._root) :]: StoredFile(int(info["size"]), str(sorted(info.items())))
            for path, info in found.items()
            if path.startswith(self._root) and info.get("size") is not None
        }

    def fetch(self, path: str, size_bytes: int, target: Path) -> None:
        """Copy a file to disk, a piece at a time.

        Args:
            path: Below the URL.
            size_bytes: Its size by the listing.
            target: The new file.

        Raises:
            FileNotFoundError: It has gone since it was listed.
            StorageError: The storage does not answer, refuses to or is too slow, or the disk is full.
        """
        patience = _FETCH_SECONDS + size_bytes / _SLOWEST_BYTES_A_SECOND
        until = self._clock() + patience
        try:
            with target.open("wb") as file:
                for start in range(0, size_bytes, _PIECE_BYTES):
                    left = until - self._clock()
                    if left <= 0:
                        raise TimeoutError
                    end = min(start + _PIECE_BYTES, size_bytes)
                    piece = self._system.cat_file(self._root + path, start=start, end=end, **self._within(left))
                    if len(piece) != end - start:
                        # Cut off on the way, or replaced since it was listed: no reason to refuse what lies there.
                        raise EOFError(
                            f"{len(piece)} bytes came from byte {start} on, and {end - start} were asked for"
                        )
                    file.write(piece)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            raise
        except Exception as error:  # as above
            raise self._error(error, patience, path) from error

    def _within(self, seconds: float) -> dict[str, float]:
        """What bounds a call, where fsspec can bound it: those that go over a network."""
        return {"timeout": seconds} if self._system.async_impl else {}

    def _error(self, error: Exception, seconds: float, path: str = "") -> StorageError:
        """What a library said, in our words."""
        reason = self._said(error)
        if isinstance(error, TimeoutError):  # libraries try again by themselves what may pass
            reason = f"no answer within {seconds:.0f} s, or only errors that may pass"
        what = f"{path} of model repository" if path else "model repository"
        # One line, whatever the library says.
        text = " ".join(f"{what} {self.shown_url!r} cannot be read: {reason}".split())
        return StorageError(text, may_pass=not isinstance(error, (FileNotFoundError, PermissionError)))

    def _said(self, error: Exception) -> str:
        """What a library said; of an address with a password in it only of what kind, as it may tell the password."""
        kind = type(error).__name__
        return (
            f"{kind} (more is not told, as the address holds a name or password)"
            if self._secret
            else excerpt(str(error), _LONGEST_ERROR) or kind
        )

"""Object storage, read with fsspec: the files under a URL and their contents. Every call blocks."""

import importlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.errors import MissingExtra, StartupError, StorageError, excerpt

_LIST_SECONDS = 30.0
# The time for one file: this long, and one second more for each `_SLOWEST_BYTES_A_SECOND` of its size.
_FETCH_SECONDS = 60.0
_SLOWEST_BYTES_A_SECOND = 2**20
_PIECE_BYTES = 8 * 2**20
# Most characters of a library's error message: some contain the whole answer of a proxy.
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class StoredFile:
    """One file in the listing.

    Attributes:
        size_bytes: Its size.
        fingerprint: All its attributes in the listing (time, ETag, …). If it changes, the content may have changed.
    """

    size_bytes: int
    fingerprint: str


class Storage:
    """The files under one URL. Only this class imports fsspec, so that a plain folder does not need it.

    Args:
        url: "s3://bucket/prefix", "file:///folder" or another address that fsspec knows. The library behind fsspec
            takes credentials from the environment.
        clock: Monotonic seconds.

    Raises:
        StartupError: The package for such an address is not installed, or fsspec does not know the address.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        # No log may show a name or password from the address. A password may contain any character, also "/" and "@".
        self.shown_url = re.sub(r"//(.*:.*|[^/@]*)@", "//", url)
        self._secret = self.shown_url != url
        self._clock = clock
        try:
            core = importlib.import_module("fsspec.core")
            # No caches of fsspec: each scan must read the listing again, and each Storage its own configuration.
            self._system, self._root = core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            needs = f"model repository {self.shown_url!r} needs a package that is not installed ({error})"
            raise MissingExtra(needs, "storage") from error
        except Exception as error:  # each library behind fsspec raises its own errors
            raise StartupError(
                f"model repository {self.shown_url!r} is no address to read from: {self._said(error)}"
            ) from error
        if not self._root.strip("/"):
            raise StartupError(f"model repository {self.shown_url!r} names no bucket or folder")
        self._root = self._root.rstrip("/") + "/"

    def list_files(self) -> dict[str, StoredFile]:
        """Every file, by its path below the URL.

        Raises:
            StorageError: The storage does not answer, or denies access.
        """
        try:
            self._system.invalidate_cache()
            found = self._system.find(self._root, detail=True, **self._within(_LIST_SECONDS))
            # fsspec gives an empty listing for a folder that is absent or may not be read.
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
            size_bytes: Its size in the listing.
            target: The new file.

        Raises:
            FileNotFoundError: It was removed after the listing.
            StorageError: The storage does not answer, denies access or is too slow, or the disk is full.
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
                        # The transfer was cut, or the file was replaced after the listing. This is no reason to refuse
                        # the version.
                        raise EOFError(f"{len(piece)} bytes came from byte {start} on, wanted {end - start}")
                    file.write(piece)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            raise
        except Exception as error:  # as above
            raise self._error(error, patience, path) from error

    def _within(self, seconds: float) -> dict[str, float]:
        """The timeout argument of a call. fsspec takes one only for storages on a network."""
        return {"timeout": seconds} if self._system.async_impl else {}

    def _error(self, error: Exception, seconds: float, path: str = "") -> StorageError:
        """The StorageError for an error of a library."""
        reason = self._said(error)
        if isinstance(error, TimeoutError):  # the library retries errors that may pass, until this timeout
            reason = f"no answer within {seconds:.0f} s, or only errors that may pass"
        what = f"{path} of model repository" if path else "model repository"
        # The message is one line, even if the library's is not.
        text = " ".join(f"{what} {self.shown_url!r} cannot be read: {reason}".split())
        return StorageError(text, may_pass=not isinstance(error, (FileNotFoundError, PermissionError)))

    def _said(self, error: Exception) -> str:
        """The message of a library's error. With a password in the address only its type: the text may contain it."""
        kind = type(error).__name__
        return (
            f"{kind} (more is not told, as the address holds a name or password)"
            if self._secret
            else excerpt(str(error), _LONGEST_ERROR) or kind
        )

"""The source of a registry's models: a folder that is read in place, or object storage with a cache."""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from kan_api.v1.manifest_pb2 import File, ModelManifest
from service.errors import StorageError
from service.repository import disk
from service.repository.cache import Cache
from service.repository.daemon_thread import in_daemon_thread
from service.repository.disk import Artefact, Version
from service.repository.layout import explain_no_versions
from service.repository.passed_over import PassedOver
from service.repository.storage import Storage
from service.repository.storage_source import StorageSource
from service.settings import Settings

# After twenty folders, so that calls get the interpreter.
_REST_SECONDS = 1e-3


class Source(Protocol):
    """Lists and reads the versions of a repository. One call at a time.

    Attributes:
        last_error: An error since the last scan began that did not make a call fail; None if there was none.
        read_seconds: Longest time to read a version; None if the source has its own limits.
        looked_back: How many older versions are read for the comparison with a new version. Example with 4: a mistake
            that is published again is refused each time, until the last 4 versions all contain it.
        no_versions_reason: Why the last scan found no version; "" if it found one, or if the reason is not known.
    """

    last_error: StorageError | None
    read_seconds: float | None
    looked_back: int
    no_versions_reason: str

    async def list_models(self, *, rests: bool = False) -> list[Version]:
        """Scan the repository: every (name, version), sorted.

        Args:
            rests: Whether a list of thousands of folders rests in between, because nobody waits for it.

        Raises:
            StartupError: The repository cannot be read.
        """

    async def fingerprints(self, versions: Collection[Version]) -> Mapping[Version, object]:
        """For each version a value that stays equal while its files stay the same."""

    async def read_manifest(self, name: str, version: int) -> ModelManifest:
        """The manifest of one version.

        Raises:
            ModelRefused: It is absent or broken.
            StorageError: It cannot be read now.
        """

    async def read_version(self, name: str, version: int) -> Artefact:
        """One version, read and verified.

        Raises:
            ModelRefused: It must not be served.
            StorageError: It cannot be read now.
        """

    async def read_file(self, name: str, version: int, entry: File) -> bytes:
        """One more file of a version, verified against its entry in the manifest.

        Raises:
            ModelRefused: It is absent or damaged, or larger than max_model_bytes.
            StorageError: It cannot be read now.
        """

    async def mark_used(self, served: Callable[[], Collection[Version]]) -> None:
        """Report the versions that answer, after each scan and each load. A cache may remove the others.

        Args:
            served: Gives them; of ten thousand models that takes 2 ms of the event loop, and a folder does not ask.
        """


def open_source(settings: Settings) -> Source:
    """The source that the settings name.

    Raises:
        StartupError: A package for the storage is not installed, or the cache cannot be written.
    """
    if isinstance(settings.models, Path):
        return _FolderSource(settings.models, settings.max_load_seconds, settings.max_model_bytes)
    storage = Storage(settings.models)
    cache = Cache(Path(settings.cache_folder) if settings.cache_folder else None, settings.models)
    return StorageSource(storage, cache, settings.max_model_bytes)


class _FolderSource:
    """A folder that is read in place, in daemon threads, because a network mount may hang."""

    def __init__(self, root: Path, read_seconds: float, max_model_bytes: int) -> None:
        self.last_error: StorageError | None = None
        self.read_seconds: float | None = read_seconds
        self.looked_back = 16
        self.no_versions_reason = ""
        self._root, self._max_model_bytes = root, max_model_bytes
        self._passed_over = PassedOver()

    async def list_models(self, *, rests: bool = False) -> list[Version]:
        rest = partial(time.sleep, _REST_SECONDS if rests else 0)

        def scan() -> tuple[list[Version], str]:
            found = disk.list_models(self._root, self._passed_over.note, rest)
            return found, "" if found else explain_no_versions(self._root)

        found, self.no_versions_reason = await in_daemon_thread(scan, "list")
        self._passed_over.end_scan()
        return found

    async def fingerprints(self, versions: Collection[Version]) -> Mapping[Version, object]:
        def read() -> dict[Version, object]:
            return {each: disk.fingerprint(self._root, *each) for each in versions}

        return await in_daemon_thread(read, "fingerprints") if versions else {}

    async def read_manifest(self, name: str, version: int) -> ModelManifest:
        return await in_daemon_thread(partial(disk.read_manifest, self._root, name, version), "read manifest")

    async def read_version(self, name: str, version: int) -> Artefact:
        read = partial(disk.read_version, self._root, name, version, self._max_model_bytes)
        return await in_daemon_thread(read, "read version")

    async def read_file(self, name: str, version: int, entry: File) -> bytes:
        read = partial(disk.read_file, self._root, name, version, entry, self._max_model_bytes)
        return await in_daemon_thread(read, "read file")

    async def mark_used(self, served: Callable[[], Collection[Version]]) -> None:
        pass

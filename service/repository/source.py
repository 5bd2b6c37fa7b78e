"""Where a registry gets its models from: a folder that it reads in place, or storage by way of a cache."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kan_api.v1.manifest_pb2 import File, ModelManifest
from service.errors import ModelRefused, StorageError
from service.repository import disk
from service.repository.cache import Cache
from service.repository.daemon_thread import in_daemon_thread
from service.repository.disk import Artefact, Version
from service.repository.manifest import file_entry
from service.repository.passed_over import PassedOver
from service.repository.storage import Storage, StoredFile
from service.settings import Settings

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Source(Protocol):
    """What a registry asks for. One call at a time.

    Attributes:
        trouble: What went wrong since the last look began, though it gave an answer; None where nothing did.
        read_seconds: How long a version's read may take; None: it has bounds of its own.
        looked_back: How many older versions a new one is compared with. One that does not fit those before it binds
            nobody, so that publishing the same mistake twice does not make it right; further back than this it does.
    """

    last_error: StorageError | None
    read_seconds: float | None
    looked_back: int

    async def list_models(self) -> list[Version]:
        """Look: every (name, version), sorted.

        Raises:
            StartupError: It cannot be looked at.
        """

    async def fingerprints(self, versions: Collection[Version]) -> Mapping[Version, object]:
        """For each version something that is equal as long as its files are the same."""

    async def read_manifest(self, name: str, version: int) -> ModelManifest:
        """The manifest of one version.

        Raises:
            ModelRefused: It is absent or broken.
            StorageError: It cannot be read now.
        """

    async def read_version(self, name: str, version: int) -> Artefact:
        """One version, verified.

        Raises:
            ModelRefused: It must not be served.
            StorageError: It cannot be read now.
        """

    async def mark_used(self, served: Collection[Version]) -> None:
        """Say what answers now, at the end of a look and of a load: the rest need not be kept."""


def open_source(settings: Settings) -> Source:
    """The source that the settings name.

    Raises:
        StartupError: What it needs is not installed, or its cache cannot be written.
    """
    if isinstance(settings.models, Path):
        return _FolderSource(settings.models, settings.max_load_seconds, settings.max_model_bytes)
    storage = Storage(settings.models)
    cache = Cache(Path(settings.cache_folder) if settings.cache_folder else None, settings.models)
    return _StorageSource(storage, cache, settings.max_model_bytes)


class _FolderSource:
    """A folder that is read in place; in threads of its own, since a network mount may hang."""

    def __init__(self, root: Path, read_seconds: float, max_model_bytes: int) -> None:
        self.last_error: StorageError | None = None
        self.read_seconds: float | None = read_seconds
        self.looked_back = 16
        self._root, self._max_model_bytes = root, max_model_bytes
        self._passed_over = PassedOver()

    async def list_models(self) -> list[Version]:
        found = await in_daemon_thread(partial(disk.list_models, self._root, self._passed_over.note), "list")
        self._passed_over.end_look()
        return found

    async def fingerprints(self, versions: Collection[Version]) -> Mapping[Version, object]:
        def look() -> dict[Version, object]:
            return {each: disk.fingerprint(self._root, *each) for each in versions}

        return await in_daemon_thread(look, "look at files") if versions else {}

    async def read_manifest(self, name: str, version: int) -> ModelManifest:
        return await in_daemon_thread(partial(disk.read_manifest, self._root, name, version), "read manifest")

    async def read_version(self, name: str, version: int) -> Artefact:
        read = partial(disk.read_version, self._root, name, version, self._max_model_bytes)
        return await in_daemon_thread(read, "read version")

    async def mark_used(self, served: Collection[Version]) -> None:
        pass


class _StorageSource:
    """A storage that is looked at, and a cache that holds what was read from it.

    Until the storage has answered for the first time the cache answers in its place: a server that starts again serves
    although its storage is away.

    Args:
        storage: Where versions are published.
        cache: Where they are kept.
        max_model_bytes: Most bytes of a version's model.onnx and its external data together.
    """

    def __init__(self, storage: Storage, cache: Cache, max_model_bytes: int) -> None:
        self.last_error: StorageError | None = None
        self.read_seconds: float | None = None
        self.looked_back = 4  # each is a download at the start
        self._storage, self._cache, self._max_model_bytes = storage, cache, max_model_bytes
        self._listing: dict[Version, dict[str, StoredFile]] | None = None
        self._passed_over = PassedOver()
        self._at_work: asyncio.Future[Any] | None = None

    async def list_models(self) -> list[Version]:
        return await self._in_thread(self._list)

    async def fingerprints(self, versions: Collection[Version]) -> Mapping[Version, object]:
        return {each: self._stamp(*each) for each in versions}

    async def read_manifest(self, name: str, version: int) -> ModelManifest:
        return await self._in_thread(partial(self._read_manifest, name, version))

    async def read_version(self, name: str, version: int) -> Artefact:
        return await self._in_thread(partial(self._read, name, version))

    async def mark_used(self, served: Collection[Version]) -> None:
        if self._listing is None:
            return
        try:
            await self._in_thread(partial(self._cache.evict, self._listing, served))
        except StorageError as error:
            self.last_error = error

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Work in a thread, once the work before is done: who asked for that may have gone, as callers do."""
        while self._at_work is not None:
            await asyncio.wait({self._at_work})
        done = in_daemon_thread(work, "storage")
        done.add_done_callback(self._over)
        self._at_work = done
        await asyncio.wait({done})
        try:
            return done.result()
        finally:
            # An error that holds itself by way of its frames holds all bytes that were read, until the collector comes.
            del done

    def _over(self, done: "asyncio.Future[Any]") -> None:
        done.exception()  # looked at here, as nobody may wait for it any more
        self._at_work = None

    def _list(self) -> list[Version]:
        self.last_error = None
        try:
            files = self._storage.list_files()
        except StorageError as error:
            cached = disk.list_models(self._cache.root) if self._listing is None else []
            if not cached:
                raise
            self.last_error = error
            return cached
        self._listing = self._versions(files)
        return sorted(self._listing)

    def _versions(self, files: Mapping[str, StoredFile]) -> dict[Version, dict[str, StoredFile]]:
        """The files of each version. One without a manifest is none yet: uploaders write that last."""
        found: dict[Version, dict[str, StoredFile]] = {}
        for path, file in files.items():
            name, _, rest = path.partition("/")
            number, _, of_version = rest.partition("/")
            version = disk.version_number(number)
            if version is None or name.startswith("."):
                continue
            if disk.model_name(name) is None:
                self._passed_over.note(name, disk.STRANGE_NAME)
            elif of_version and "/" not in of_version:
                found.setdefault((name, version), {})[of_version] = file
        self._passed_over.end_look()
        return {version: parts for version, parts in found.items() if disk.MANIFEST in parts}

    def _stamp(self, name: str, version: int) -> str:
        """What the listing says of a version's files; "" before there is one."""
        return _stamp_of((self._listing or {}).get((name, version), {}))

    def _is_cached(self, name: str, version: int) -> bool:
        """Whether the cache holds what the listing has; of a version's files it holds those that are read."""
        cached = self._cache.fingerprint(name, version).splitlines()
        return bool(cached) and set(cached) <= set(self._stamp(name, version).splitlines())

    def _read(self, name: str, version: int) -> Artefact:
        """From the cache, where it holds what the storage has now or the storage is away; else from the storage."""
        if self._listing is None:
            return self._read_cached(name, version)
        if self._is_cached(name, version):
            # Refused: the disk is damaged, or another server moved it aside this moment.
            with suppress(ModelRefused):
                return self._read_cached(name, version)
        files = self._listing.get((name, version))
        if files is None:
            raise ModelRefused("missing", "it is not in the repository any more")
        try:
            return self._fetch(name, version, files)
        except StorageError as error:
            self.last_error = error
            raise

    def _read_cached(self, name: str, version: int) -> Artefact:
        return disk.read_version(self._cache.root, name, version, self._max_model_bytes)

    def _read_manifest(self, name: str, version: int) -> ModelManifest:
        """From the cache or the storage; what is read for the manifest alone is not kept."""
        if self._listing is None or self._is_cached(name, version):
            return disk.read_manifest(self._cache.root, name, version)
        file = self._listing.get((name, version), {}).get(disk.MANIFEST)
        if file is None:
            raise ModelRefused("missing", "it is not in the repository any more")
        disk.check_manifest_size(file.size_bytes)
        with self._cache.staging() as staging:
            folder = staging / name / str(version)
            folder.mkdir(parents=True)
            self._fetch_file(name, version, disk.MANIFEST, file, folder)
            return disk.read_manifest(staging, name, version)

    def _fetch(self, name: str, version: int, files: Mapping[str, StoredFile]) -> Artefact:
        """From the storage into the cache; what does not fit its manifest never gets there."""
        disk.check_manifest_size(files[disk.MANIFEST].size_bytes)
        with self._cache.staging() as staging:
            folder = staging / name / str(version)
            folder.mkdir(parents=True)
            fetched = {}

            def fetch(path: str) -> None:
                if path in files:  # else it is refused as missing
                    fetched[path] = files[path]
                    self._fetch_file(name, version, path, files[path], folder)

            def fetch_listed(entry: File) -> None:
                if stored := files.get(entry.name):
                    # Before the download: nobody waits for what is known not to fit.
                    disk.check_size(entry, stored.size_bytes, self._max_model_bytes)
                    self._cache.room_for(entry.name, stored.size_bytes)
                fetch(entry.name)

            fetch(disk.MANIFEST)
            fetch_listed(file_entry(disk.read_manifest(staging, name, version), disk.MODEL))
            artefact = disk.read_version(staging, name, version, self._max_model_bytes, fetch_listed)
            self._cache.put(staging, name, version, _stamp_of(fetched))
        return artefact

    def _fetch_file(self, name: str, version: int, path: str, file: StoredFile, folder: Path) -> None:
        with suppress(FileNotFoundError):  # gone since it was listed: refused as missing
            self._storage.fetch(f"{name}/{version}/{path}", file.size_bytes, folder / path)


def _stamp_of(files: Mapping[str, StoredFile]) -> str:
    """A line a file."""
    return "\n".join(f"{path} {files[path].fingerprint}" for path in sorted(files))

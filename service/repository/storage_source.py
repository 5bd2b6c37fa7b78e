"""A source of models in object storage, with a cache on disk."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kan_api.v1.manifest_pb2 import File, ModelManifest
from kan_api.version_folder import version_number
from service.errors import ModelRefused, StorageError
from service.repository import disk
from service.repository.cache import Cache
from service.repository.daemon_thread import in_daemon_thread
from service.repository.disk import Artefact, Version
from service.repository.manifest import file_entry
from service.repository.passed_over import PassedOver
from service.repository.storage import Storage, StoredFile

_T = TypeVar("_T")


class StorageSource:
    """A :class:`service.repository.source.Source`: object storage, with a cache of the versions that were read from it.

    Until the storage has answered for the first time, the cache is listed in its place. So a server can restart and
    serve while its storage is not available.

    Args:
        storage: Holds the published versions.
        cache: Keeps the versions that were read.
        max_model_bytes: Most bytes of a version's model.onnx and its external data together.
    """

    def __init__(self, storage: Storage, cache: Cache, max_model_bytes: int) -> None:
        self.last_error: StorageError | None = None
        self.read_seconds: float | None = None
        self.looked_back = 4  # each is a download at the start
        self.no_versions_reason = ""
        self._storage, self._cache, self._max_model_bytes = storage, cache, max_model_bytes
        self._listing: dict[Version, dict[str, StoredFile]] | None = None
        self._passed_over = PassedOver()
        self._at_work: asyncio.Future[Any] | None = None

    async def list_models(self, *, rests: bool = False) -> list[Version]:  # noqa: ARG002 - it waits for the network
        """As Source.list_models."""
        return await self._in_thread(self._list)

    async def fingerprints(self, versions: Collection[Version]) -> Mapping[Version, object]:
        """As Source.fingerprints."""
        return {each: self._fingerprint(*each) for each in versions}

    async def read_manifest(self, name: str, version: int) -> ModelManifest:
        """As Source.read_manifest."""
        return await self._in_thread(partial(self._read_manifest, name, version))

    async def read_version(self, name: str, version: int) -> Artefact:
        """As Source.read_version."""
        return await self._in_thread(partial(self._read, name, version))

    async def read_file(self, name: str, version: int, entry: File) -> bytes:
        """As Source.read_file. The cache keeps the file beside the others of the version."""
        return await self._in_thread(partial(self._read_file, name, version, entry))

    async def mark_used(self, served: Callable[[], Collection[Version]]) -> None:
        """As Source.mark_used."""
        if self._listing is None:
            return
        try:
            await self._in_thread(partial(self._cache.evict, self._listing, served()))
        except StorageError as error:
            self.last_error = error

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Run work in a thread, after the previous work has ended; its caller may have been cancelled before that."""
        while self._at_work is not None:
            await asyncio.wait({self._at_work})
        done = in_daemon_thread(work, "storage")
        done.add_done_callback(self._over)
        self._at_work = done
        await asyncio.wait({done})
        try:
            return done.result()
        finally:
            # Without this line the error and its frames refer to each other. They would keep all bytes that were read
            # in memory until the garbage collector runs.
            del done

    def _over(self, done: "asyncio.Future[Any]") -> None:
        done.exception()  # retrieved here, because its caller may have been cancelled
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
        """The files of each version. A version without a manifest is left out: uploads write the manifest last."""
        found: dict[Version, dict[str, StoredFile]] = {}
        for path, file in files.items():
            name, _, rest = path.partition("/")
            number, _, of_version = rest.partition("/")
            version = version_number(number)
            if version is None or name.startswith("."):
                continue
            if disk.model_name(name) is None:
                self._passed_over.note(name, disk.STRANGE_NAME)
            elif of_version and "/" not in of_version:
                found.setdefault((name, version), {})[of_version] = file
        self._passed_over.end_scan()
        return {version: parts for version, parts in found.items() if disk.MANIFEST in parts}

    def _fingerprint(self, name: str, version: int) -> str:
        """The fingerprint of a version's files in the listing; "" before the first listing."""
        return _fingerprint_of((self._listing or {}).get((name, version), {}))

    def _is_cached(self, name: str, version: int) -> bool:
        """Whether the cache has the same files as the listing. It has only those files that the server reads."""
        cached = self._cache.fingerprint(name, version).splitlines()
        return bool(cached) and set(cached) <= set(self._fingerprint(name, version).splitlines())

    def _read(self, name: str, version: int) -> Artefact:
        """Read from the cache if it is up to date, or if the storage has not answered yet; else from the storage."""
        if self._listing is None:
            return self._read_cached(name, version)
        if self._is_cached(name, version):
            # If the cached version is refused, the disk is damaged, or another server has just removed the version.
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

    def _read_file(self, name: str, version: int, entry: File) -> bytes:
        """Read one more file from the cache if it is there and intact, else from the storage."""
        with suppress(ModelRefused):
            return disk.read_file(self._cache.root, name, version, entry, self._max_model_bytes)
        if self._listing is None:
            raise StorageError(f"the storage has not answered yet, and {entry.name} is not in the cache")
        stored = self._listing.get((name, version), {}).get(entry.name)
        if stored is None:
            raise ModelRefused("missing", f"{entry.name} is not in the repository any more")
        disk.check_size(entry, stored.size_bytes, self._max_model_bytes)
        self._cache.room_for(entry.name, stored.size_bytes)
        with self._cache.staging() as staging:
            folder = staging / name / str(version)
            folder.mkdir(parents=True)
            self._fetch_file(name, version, entry.name, stored, folder)
            content = disk.read_file(staging, name, version, entry, self._max_model_bytes)
            self._cache.add(staging, name, version, entry.name)
        return content

    def _read_manifest(self, name: str, version: int) -> ModelManifest:
        """Read a manifest from the cache or the storage. A manifest from the storage is not cached."""
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
        """Copy a version from the storage to the cache. A version that its manifest refutes is not cached."""
        disk.check_manifest_size(files[disk.MANIFEST].size_bytes)
        with self._cache.staging() as staging:
            folder = staging / name / str(version)
            folder.mkdir(parents=True)
            fetched = {}

            def fetch(path: str) -> None:
                if path in files:  # otherwise the version is refused, because the file is missing
                    fetched[path] = files[path]
                    self._fetch_file(name, version, path, files[path], folder)

            def fetch_listed(entry: File) -> None:
                if stored := files.get(entry.name):
                    # Checked before the download, so that no time is lost on a file that will be refused.
                    disk.check_size(entry, stored.size_bytes, self._max_model_bytes)
                    self._cache.room_for(entry.name, stored.size_bytes)
                fetch(entry.name)

            fetch(disk.MANIFEST)
            fetch_listed(file_entry(disk.read_manifest(staging, name, version), disk.MODEL))
            artefact = disk.read_version(staging, name, version, self._max_model_bytes, fetch_listed)
            self._cache.put(staging, name, version, _fingerprint_of(fetched))
        return artefact

    def _fetch_file(self, name: str, version: int, path: str, file: StoredFile, folder: Path) -> None:
        with suppress(FileNotFoundError):  # removed since the listing: the version is refused, because it is missing
            self._storage.fetch(f"{name}/{version}/{path}", file.size_bytes, folder / path)


def _fingerprint_of(files: Mapping[str, StoredFile]) -> str:
    """The fingerprint of a version, with one line a file."""
    return "\n".join(f"{path} {files[path].fingerprint}" for path in sorted(files))

"""Where a registry gets its models from: a folder that it reads in place, or storage by way of a cache."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from service import repository
from service.cache import Cache, Version
from service.errors import StorageError
from service.repository import Artefact, ModelRefused
from service.settings import Settings
from service.storage import Storage, StoredFile

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

# All that is read of a version: reports and explanations stay where they are.
_MANIFEST, _MODEL = "manifest.json", "model.onnx"
_LARGEST_MANIFEST_BYTES = 64 * 2**20


class Source(Protocol):
    """What a registry asks for. One call at a time.

    Attributes:
        trouble: What went wrong since the last look began, though it gave an answer; None where nothing did.
    """

    trouble: StorageError | None

    async def list_models(self) -> list[tuple[str, int]]:
        """Look: every (name, version), sorted.

        Raises:
            StartupError: It cannot be looked at.
        """

    async def stamp(self, name: str, version: int) -> object:
        """Something that is equal as long as a version's files are the same."""

    async def read_version(self, name: str, version: int) -> Artefact:
        """One version, verified.

        Raises:
            ModelRefused: It must not be served.
            StorageError: It cannot be read now.
        """

    async def keep(self, served: Collection[tuple[str, int]]) -> None:
        """Say what answers now, at the end of a look and of a load: the rest need not be kept."""


def open_source(settings: Settings) -> Source:
    """The source that the settings name.

    Raises:
        StartupError: What it needs is not installed, or its cache cannot be written.
    """
    if isinstance(settings.models, Path):
        return _FolderSource(settings.models)
    storage = Storage(settings.models)
    return _StorageSource(
        storage, Cache(Path(settings.cache_folder) if settings.cache_folder else None, settings.models)
    )


class _FolderSource:
    """A folder that is read in place."""

    def __init__(self, root: Path) -> None:
        self.trouble: StorageError | None = None
        self._root = root

    async def list_models(self) -> list[tuple[str, int]]:
        return await asyncio.to_thread(repository.list_models, self._root)

    async def stamp(self, name: str, version: int) -> object:
        return await asyncio.to_thread(repository.stamp, self._root, name, version)

    async def read_version(self, name: str, version: int) -> Artefact:
        return await asyncio.to_thread(repository.read_version, self._root, name, version)

    async def keep(self, served: Collection[tuple[str, int]]) -> None:
        pass


class _StorageSource:
    """A storage that is looked at, and a cache that holds what was read from it.

    Until the storage has answered for the first time the cache answers in its place: a server that starts again serves
    although its storage is away.

    Args:
        storage: Where versions are published.
        cache: Where they are kept.
    """

    def __init__(self, storage: Storage, cache: Cache) -> None:
        self.trouble: StorageError | None = None
        self._storage, self._cache = storage, cache
        self._listing: dict[Version, dict[str, StoredFile]] | None = None
        self._strange: set[str] = set()
        self._at_work: asyncio.Future[Any] | None = None

    async def list_models(self) -> list[tuple[str, int]]:
        return await self._in_thread(self._list)

    async def stamp(self, name: str, version: int) -> object:
        return self._stamp(name, version)

    async def read_version(self, name: str, version: int) -> Artefact:
        return await self._in_thread(partial(self._read, name, version))

    async def keep(self, served: Collection[tuple[str, int]]) -> None:
        if self._listing is None:
            return
        try:
            await self._in_thread(partial(self._cache.tidy, self._listing, served))
        except StorageError as error:
            self.trouble = error

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Work in a thread, once the work before is done: who asked for that may have gone, as callers do."""
        while self._at_work is not None:
            await asyncio.wait({self._at_work})
        done = _in_daemon_thread(work)
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
        self.trouble = None
        try:
            files = self._storage.list_files()
        except StorageError as error:
            cached = repository.list_models(self._cache.root) if self._listing is None else []
            if not cached:
                raise
            self.trouble = error
            return cached
        self._listing = self._versions(files)
        return sorted(self._listing)

    def _versions(self, files: Mapping[str, StoredFile]) -> dict[Version, dict[str, StoredFile]]:
        """The files of each version. One without a manifest is none yet: uploaders write that last."""
        found: dict[Version, dict[str, StoredFile]] = {}
        for path, file in files.items():
            name, _, rest = path.partition("/")
            number, _, of_version = rest.partition("/")
            version = repository.version_number(number)
            if version is None or name.startswith("."):
                continue
            if repository.model_name(name) is None:
                self._tell_of_strange_name(name)
            elif of_version in (_MANIFEST, _MODEL):
                found.setdefault((name, version), {})[of_version] = file
        return {version: parts for version, parts in found.items() if _MANIFEST in parts}

    def _tell_of_strange_name(self, name: str) -> None:
        if name not in self._strange:
            self._strange.add(name)
            _log.error("folder %r is passed over: wanted a name of letters, digits, '_', '-' and '.'", name)

    def _stamp(self, name: str, version: int) -> str:
        """What the listing says of a version's files; "" before there is one."""
        files = (self._listing or {}).get((name, version), {})
        return "\n".join(f"{path} {files[path].stamp}" for path in sorted(files))

    def _read(self, name: str, version: int) -> Artefact:
        """From the cache, where it holds what the storage has now or the storage is away; else from the storage."""
        if self._listing is None:
            return repository.read_version(self._cache.root, name, version)
        if self._cache.stamp(name, version) == self._stamp(name, version):
            # Refused: the disk is damaged, or another server moved it aside this moment.
            with suppress(ModelRefused):
                return repository.read_version(self._cache.root, name, version)
        files = self._listing.get((name, version))
        if files is None:
            raise ModelRefused("missing", "it is not in the repository any more")
        try:
            return self._fetch(name, version, files)
        except StorageError as error:
            self.trouble = error
            raise

    def _fetch(self, name: str, version: int, files: Mapping[str, StoredFile]) -> Artefact:
        """From the storage into the cache; what does not fit its manifest never gets there."""
        if files[_MANIFEST].size_bytes > _LARGEST_MANIFEST_BYTES:
            raise ModelRefused(
                "manifest",
                f"manifest.json has {files[_MANIFEST].size_bytes} bytes, more than {_LARGEST_MANIFEST_BYTES}",
            )
        with self._cache.workshop() as workshop:
            folder = workshop / name / str(version)
            folder.mkdir(parents=True)
            self._fetch_file(name, version, _MANIFEST, files[_MANIFEST], folder)
            if model := files.get(_MODEL):
                # Before the download: nobody waits for what is known not to fit.
                repository.check_size(repository.read_manifest(workshop, name, version), model.size_bytes)
                self._cache.room_for(model.size_bytes)
                self._fetch_file(name, version, _MODEL, model, folder)
            artefact = repository.read_version(workshop, name, version)
            self._cache.put(workshop, name, version, self._stamp(name, version))
        return artefact

    def _fetch_file(self, name: str, version: int, path: str, file: StoredFile, folder: Path) -> None:
        with suppress(FileNotFoundError):  # gone since it was listed: refused as missing
            self._storage.fetch(f"{name}/{version}/{path}", file.size_bytes, folder / path)


def _in_daemon_thread(work: Callable[[], _T]) -> "asyncio.Future[_T]":
    """Run what may hang, in a thread that the process does not wait for when it ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def run(done: "asyncio.Future[_T]") -> None:
        try:
            outcome = partial(done.set_result, work())
        except BaseException as error:
            outcome = partial(done.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(outcome)
        del done, outcome  # as above: the frames of an error hold those that called them

    threading.Thread(target=run, args=(done,), name="storage", daemon=True).start()
    return done

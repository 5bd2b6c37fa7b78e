"""A model repository on disk, models/<name>/<version>/{model.onnx, manifest.json, …}: list, read and verify it."""

import hashlib
import heapq
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

from kan_api.limits import DEFAULT_MAX_MODEL_BYTES, MAX_MANIFEST_BYTES
from kan_api.v1.manifest_pb2 import File, ModelManifest
from kan_api.version_folder import version_number
from service.errors import ModelRefused, StartupError
from service.repository.external_data import external_files
from service.repository.manifest import file_entry, parse_manifest
from service.repository.regular_file import read_regular_file

Version = tuple[str, int]

MANIFEST: Final = "manifest.json"
MODEL: Final = "model.onnx"
# Read when it is first asked for.
ATTRIBUTION: Final = "attribution.onnx"

STRANGE_NAME = "wanted a name of letters, digits, '_', '-' and '.', and no '-' or '.' at its start"

# Most files of a version that are checked for changes; kan-train writes five.
_MOST_FILES = 64
_FOLDERS_AT_ONCE = 20
# Names go into labels of metrics, log lines and messages, so they have no spaces, line ends or bytes that are no text.
# They are as long as the name of a folder may be; object storage allows longer ones.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


@dataclass(frozen=True)
class Artefact:
    """A verified version: its manifest, and the bytes whose sha256 equals the one in the manifest.

    Attributes:
        manifest: Content of manifest.json.
        model_bytes: Content of model.onnx.
        external: By name, the content of the files with external data of model.onnx.
    """

    manifest: ModelManifest
    model_bytes: bytes
    external: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Size of the graph and all external data."""
        return len(self.model_bytes) + sum(len(content) for content in self.external.values())


def digest(artefact: Artefact) -> str:
    """The sha256 of everything that was loaded of a version. Equal versions have equal digests."""
    found = hashlib.sha256(artefact.manifest.SerializeToString(deterministic=True))
    for content in (artefact.model_bytes, *(artefact.external[name] for name in sorted(artefact.external))):
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()


def model_name(text: str) -> str | None:
    """The name of a folder if it is a valid name of a model; otherwise None."""
    return text if _NAME.fullmatch(text) else None


def list_models(
    root: Path,
    passed_over: Callable[[str, str], None] = lambda _name, _why: None,
    rest: Callable[[], None] = lambda: None,
) -> list[Version]:
    """Every (name, version) of a repository, sorted.

    Files, folders that begin with a dot, and version folders whose name is no number are skipped.

    Args:
        root: The folder of the repository.
        passed_over: Is called for each folder that cannot be a model or cannot be read, with its name and the reason.
        rest: Is called after every 20 folders, which are half a millisecond of work.

    Raises:
        StartupError: The folder of the repository is absent or cannot be read.
    """
    pieces: list[list[Version]] = [[]]
    try:
        with os.scandir(root) as folders:
            for number, folder in enumerate(folders, start=1):
                if number % _FOLDERS_AT_ONCE == 0:
                    pieces.append([])
                    rest()
                if folder.name.startswith(".") or not folder.is_dir():
                    continue
                if model_name(folder.name) is None:
                    passed_over(folder.name, STRANGE_NAME)
                    continue
                try:
                    pieces[-1] += [(folder.name, version) for version in _versions(folder.path)]
                except OSError as error:
                    passed_over(folder.name, f"it cannot be read: {error.strerror or error}")
    except OSError as error:
        raise StartupError(f"model repository {str(root)!r} cannot be read: {error.strerror or error}") from error
    # To sort ten thousand at once would hold the interpreter, and so the event loop, for 4 ms and more.
    return list(heapq.merge(*map(sorted, pieces)))


def read_version(
    root: Path,
    name: str,
    version: int,
    max_model_bytes: int = DEFAULT_MAX_MODEL_BYTES,
    fetch: Callable[[File], None] | None = None,
) -> Artefact:
    """Read one version and verify it against its manifest.

    Args:
        root: The repository.
        name: The model.
        version: Its version.
        max_model_bytes: Most bytes of model.onnx and its external data together.
        fetch: Is called before a file with external data is read, and may put that file into the folder.

    Raises:
        ModelRefused: A file is absent or unreadable. Or the manifest does not parse, or names another model or version.
            Or model.onnx or a file with external data is too large, or its size or sha256 differs from the manifest.
    """
    folder = root / name / str(version)
    manifest = read_manifest(root, name, version)
    model_bytes = _read_verified(folder, file_entry(manifest, MODEL), max_model_bytes)
    external: dict[str, bytes] = {}
    left_bytes = max_model_bytes - len(model_bytes)
    for file_name in sorted(external_files(model_bytes)):
        entry = file_entry(manifest, file_name)
        if fetch is not None:
            check_size(entry, entry.size_bytes, left_bytes)
            fetch(entry)
        external[file_name] = _read_verified(folder, entry, left_bytes, follow_links=False)
        left_bytes -= len(external[file_name])
    return Artefact(manifest, model_bytes, external)


def read_manifest(root: Path, name: str, version: int) -> ModelManifest:
    """Read one version's manifest.

    Raises:
        ModelRefused: It is absent or unreadable, does not parse, is too large, names another model or version, or does
            not list model.onnx exactly once.
    """
    manifest = parse_manifest(read_regular_file(root / name / str(version) / MANIFEST, check_manifest_size))
    if (manifest.name, manifest.version) != (name, version):
        what = [f'"name": "{name}"'] if manifest.name != name else []
        what += [f'"version": {version}'] if manifest.version != version else []
        found = f"manifest.json names model {manifest.name!r} version {manifest.version}"
        how = f"to serve this copy, write {' and '.join(what)} into its manifest.json"
        raise ModelRefused("manifest", f"{found}, its folder model {name!r} version {version}; {how}")
    file_entry(manifest, MODEL)
    return manifest


def read_file(root: Path, name: str, version: int, entry: File, max_bytes: int) -> bytes:
    """Read one file of a version and verify it.

    Args:
        root: The repository.
        name: The model.
        version: Its version.
        entry: The file's entry in the manifest of the version that answers.
        max_bytes: Most bytes of the file.

    Raises:
        ModelRefused: It is absent or unreadable, too large, or its size or sha256 differs from the entry.
    """
    return _read_verified(root / name / str(version), entry, max_bytes)


def check_manifest_size(size_bytes: int) -> None:
    """Refuse a manifest before it is read.

    Raises:
        ModelRefused: It is too large.
    """
    if size_bytes > MAX_MANIFEST_BYTES:
        raise ModelRefused("size", f"manifest.json has {size_bytes} bytes, at most {MAX_MANIFEST_BYTES} are allowed")


def check_size(entry: File, size_bytes: int, most_bytes: int) -> None:
    """Compare the size of a file with its manifest before it is read. The usual error is a half-copied file.

    Args:
        entry: The file's entry in the manifest.
        size_bytes: The size of the file.
        most_bytes: The rest of max_model_bytes.

    Raises:
        ModelRefused: The size differs, or the file is too large.
    """
    if size_bytes != entry.size_bytes:
        raise ModelRefused("checksum", f"{entry.name} has {size_bytes} bytes, the manifest says {entry.size_bytes}")
    if size_bytes > most_bytes:
        raise ModelRefused(
            "size", f"{entry.name} has {size_bytes} bytes, --max-model-bytes leaves room for {most_bytes}"
        )


def fingerprint(root: Path, name: str, version: int) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of a version's files. If it changes, a refused version is tried again."""
    try:
        with os.scandir(root / name / str(version)) as entries:
            return tuple(sorted(_file_fingerprint(entry) for entry in islice(entries, _MOST_FILES)))
    except OSError:
        return ()


def _file_fingerprint(entry: "os.DirEntry[str]") -> tuple[str, int, int]:
    try:
        found = entry.stat()
    except OSError:
        return entry.name, 0, 0
    return entry.name, found.st_mtime_ns, found.st_size


def _read_verified(folder: Path, entry: File, most_bytes: int, *, follow_links: bool = True) -> bytes:
    """The content of a file after its size and sha256 were compared with the manifest."""
    content = read_regular_file(
        folder / entry.name, partial(check_size, entry, most_bytes=most_bytes), follow_links=follow_links
    )
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256.lower():
        raise ModelRefused("checksum", f"{entry.name} has sha256 {digest}, the manifest says {entry.sha256!r}")
    return content


def _versions(folder: str) -> list[int]:
    """The versions in the folder of a model."""
    with os.scandir(folder) as entries:
        numbered = [(version_number(entry.name), entry) for entry in entries]
        return [version for version, entry in numbered if version is not None and entry.is_dir()]

"""What is on disk: models/<name>/<version>/{model.onnx, manifest.json}, listed, read and verified."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import File, ModelManifest
from service.errors import StartupError

Version = tuple[str, int]

STRANGE_NAME = "wanted a name of letters, digits, '_', '-' and '.', and no '-' or '.' at its start"

# At most 18 digits: every version then fits the protocol's int64. No leading zero: one version, one folder.
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
# Names go into metrics' labels, log lines and messages: no spaces, line ends or bytes that are no text.
# No longer than a folder's name may be: object storage has longer ones.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")


class ModelRefused(Exception):
    """A version that must not be served; the message says why.

    Args:
        kind: One word out of few, for a metric's label: "missing", "manifest", "checksum", "graph" or "run".
        message: What was found and what was wanted.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Artefact:
    """A verified version: its manifest and exactly the bytes whose sha256 the manifest names."""

    manifest: ModelManifest
    model_bytes: bytes


def model_name(text: str) -> str | None:
    """A folder's name as that of a model; None where no model can have it."""
    return text if _NAME.fullmatch(text) else None


def version_number(text: str) -> int | None:
    """A folder's name as the number of a version; None where it is none."""
    return int(text) if _VERSION.fullmatch(text) else None


def list_models(root: Path, passed_over: Callable[[str, str], None] = lambda _name, _why: None) -> list[Version]:
    """Every (name, version) of a repository, sorted.

    Files, dot-folders and version folders not named by a number are skipped.

    Args:
        root: The repository's folder.
        passed_over: Is called with the name of each folder that is no model's, or cannot be read, and with the reason.

    Raises:
        StartupError: The repository's folder is absent or cannot be read.
    """
    found: list[Version] = []
    try:
        with os.scandir(root) as folders:
            for folder in folders:
                if folder.name.startswith(".") or not folder.is_dir():
                    continue
                if model_name(folder.name) is None:
                    passed_over(folder.name, STRANGE_NAME)
                    continue
                try:
                    found += ((folder.name, version) for version in _versions(folder.path))
                except OSError as error:
                    passed_over(folder.name, f"it cannot be read: {error.strerror or error}")
    except OSError as error:
        raise StartupError(f"model repository {str(root)!r} cannot be read: {error.strerror or error}") from error
    return sorted(found)


def read_version(root: Path, name: str, version: int) -> Artefact:
    """Read one version and verify it against its manifest.

    Raises:
        ModelRefused: A file is absent or unreadable, the manifest does not parse or names another model or version,
            or model.onnx has not the size or sha256 that the manifest gives.
    """
    folder = root / name / str(version)
    manifest = read_manifest(root, name, version)
    model_bytes = _read(folder / "model.onnx")
    check_size(manifest, len(model_bytes))
    digest = hashlib.sha256(model_bytes).hexdigest()
    wanted = _entry(manifest).sha256
    if digest != wanted.lower():
        raise ModelRefused("checksum", f"model.onnx has sha256 {digest}, the manifest says {wanted!r}")
    return Artefact(manifest, model_bytes)


def read_manifest(root: Path, name: str, version: int) -> ModelManifest:
    """Read one version's manifest.

    Raises:
        ModelRefused: It is absent or unreadable, does not parse, names another model or version, or does not list
            model.onnx once.
    """
    manifest = _parse(_read(root / name / str(version) / "manifest.json"))
    if (manifest.name, manifest.version) != (name, version):
        raise ModelRefused(
            "manifest",
            f"manifest.json names model {manifest.name!r} version {manifest.version}, "
            f"its folder model {name!r} version {version}",
        )
    _entry(manifest)
    return manifest


def check_size(manifest: ModelManifest, size_bytes: int) -> None:
    """Hold the size of model.onnx against the manifest; before its sha256: a half-copied file is the usual fault.

    Raises:
        ModelRefused: It has another.
    """
    wanted = _entry(manifest).size_bytes
    if size_bytes != wanted:
        raise ModelRefused("checksum", f"model.onnx has {size_bytes} bytes, the manifest says {wanted}")


def stamp(root: Path, name: str, version: int) -> tuple[tuple[int, int], ...]:
    """Times and sizes of a version's files: another stamp means that it may be worth another try."""
    return tuple(_stamp(root / name / str(version) / file) for file in ("manifest.json", "model.onnx"))


def _entry(manifest: ModelManifest) -> File:
    """What the manifest says of model.onnx."""
    entries = [entry for entry in manifest.files if entry.name == "model.onnx"]
    if len(entries) != 1:
        raise ModelRefused("manifest", f"manifest.json lists model.onnx {len(entries)} times, wanted once")
    return entries[0]


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _versions(folder: str) -> list[int]:
    """The versions in a model's folder."""
    with os.scandir(folder) as entries:
        numbered = [(version_number(entry.name), entry) for entry in entries]
        return [version for version, entry in numbered if version is not None and entry.is_dir()]


def _read(file: Path) -> bytes:
    """The bytes of a regular file; a pipe left in the folder would hang the server."""
    try:
        if not file.is_file():
            raise ModelRefused("missing", f"{file.name} is absent or no file")
        return file.read_bytes()
    except OSError as error:
        raise ModelRefused("missing", f"{file.name} cannot be read: {error.strerror or error}") from error


def _parse(text: bytes) -> ModelManifest:
    """A manifest from JSON; fields that a newer library added are passed over."""
    try:
        return json_format.Parse(text.decode(), ModelManifest(), ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRefused("manifest", f"manifest.json is not a kan_api.v1.ModelManifest: {error}") from error

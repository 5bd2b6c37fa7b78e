"""What is on disk: models/<name>/<version>/{model.onnx, manifest.json}, listed, read and verified."""

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import StartupError

_log = logging.getLogger(__name__)

# At most 18 digits: every version then fits the protocol's int64. No leading zero: one version, one folder.
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
# Names go into metrics' labels, log lines and messages: no spaces, line ends or bytes that are no text.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


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


def list_models(root: Path) -> list[tuple[str, int]]:
    """Every (name, version) of a repository, sorted.

    Files, dot-folders and version folders not named by a number are skipped; a model's folder that cannot be read, or
    whose name no model can have, is skipped with a log line.

    Raises:
        StartupError: The repository's folder is absent or cannot be read.
    """
    try:
        folders = [folder for folder in root.iterdir() if not folder.name.startswith(".") and folder.is_dir()]
    except OSError as error:
        raise StartupError(f"model repository {str(root)!r} cannot be read: {error.strerror or error}") from error
    return sorted((folder.name, version) for folder in folders for version in _versions(folder))


def read_version(root: Path, name: str, version: int) -> Artefact:
    """Read one version and verify it against its manifest.

    Raises:
        ModelRefused: A file is absent or unreadable, the manifest does not parse or names another model or version,
            or model.onnx has not the size or sha256 that the manifest gives.
    """
    folder = root / name / str(version)
    manifest = _parse(_read(folder / "manifest.json"))
    if (manifest.name, manifest.version) != (name, version):
        raise ModelRefused(
            "manifest",
            f"manifest.json names model {manifest.name!r} version {manifest.version}, "
            f"its folder model {name!r} version {version}",
        )
    entries = [entry for entry in manifest.files if entry.name == "model.onnx"]
    if len(entries) != 1:
        raise ModelRefused("manifest", f"manifest.json lists model.onnx {len(entries)} times, wanted once")
    model_bytes = _read(folder / "model.onnx")
    # Size first: a half-copied file is the usual fault, and this names it best.
    if len(model_bytes) != entries[0].size_bytes:
        raise ModelRefused(
            "checksum", f"model.onnx has {len(model_bytes)} bytes, the manifest says {entries[0].size_bytes}"
        )
    digest = hashlib.sha256(model_bytes).hexdigest()
    if digest != entries[0].sha256.lower():
        raise ModelRefused("checksum", f"model.onnx has sha256 {digest}, the manifest says {entries[0].sha256!r}")
    return Artefact(manifest, model_bytes)


def stamp(root: Path, name: str, version: int) -> tuple[tuple[int, int], ...]:
    """Times and sizes of a version's files: another stamp means that it may be worth another try."""
    return tuple(_stamp(root / name / str(version) / file) for file in ("manifest.json", "model.onnx"))


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _versions(folder: Path) -> list[int]:
    """The versions in a model's folder."""
    if not _NAME.fullmatch(folder.name):
        _log.error("folder %r is passed over: wanted a name of letters, digits, '_', '-' and '.'", folder.name)
        return []
    try:
        return [int(one.name) for one in folder.iterdir() if _VERSION.fullmatch(one.name) and one.is_dir()]
    except OSError as error:
        _log.error("model %s is passed over: its folder cannot be read: %s", folder.name, error.strerror or error)
        return []


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

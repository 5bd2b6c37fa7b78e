"""What is on disk: models/<name>/<version>/{model.onnx, manifest.json}, listed, read and verified."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import StartupError

# At most 18 digits: every version then fits the protocol's int64. No leading zero: one version, one folder.
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


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
    """Every (name, version) of a repository, sorted. Files, dot-folders and folders not named by a number are skipped.

    Raises:
        StartupError: The folder is absent or cannot be read.
    """
    try:
        return sorted(
            (model.name, int(version.name))
            for model in root.iterdir()
            if not model.name.startswith(".") and model.is_dir()
            for version in model.iterdir()
            if _VERSION.fullmatch(version.name) and version.is_dir()
        )
    except OSError as error:
        raise StartupError(f"model repository {str(root)!r} cannot be read: {error.strerror or error}") from error


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

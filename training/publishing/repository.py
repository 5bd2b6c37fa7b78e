"""What a model repository holds of a model: its versions, those that a rollback withdrew, and their manifests."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_api.version_folder import version_number

# Before the number of a version that a rollback withdrew. kan-serve and Triton ignore such folders.
WITHDRAWN_PREFIX = ".withdrawn-"


def published_versions(model_folder: Path) -> list[int]:
    """Version numbers in a model's folder, ascending."""
    if not model_folder.is_dir():
        return []
    numbered = [(version_number(path.name), path) for path in model_folder.iterdir()]
    return sorted(version for version, path in numbered if version is not None and path.is_dir())


def withdrawn_versions(model_folder: Path) -> list[int]:
    """Numbers of the versions that a rollback withdrew, ascending."""
    names = (path.name.removeprefix(WITHDRAWN_PREFIX) for path in model_folder.glob(f"{WITHDRAWN_PREFIX}*"))
    return sorted(version for name in names if (version := version_number(name)) is not None)


def next_version(model_folder: Path) -> int:
    """The number after all that were published, withdrawn ones included: a number is never given twice."""
    return max((0, *published_versions(model_folder), *withdrawn_versions(model_folder))) + 1


@contextmanager
def locked(model_folder: Path) -> Iterator[None]:
    """Keep other processes from giving or withdrawing a number of this model, where the file system has locks."""
    descriptor = os.open(model_folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read_manifest(folder: Path) -> ModelManifest | None:
    """A version's manifest; None if it cannot be read."""
    try:
        return json_format.Parse((folder / "manifest.json").read_bytes(), ModelManifest(), ignore_unknown_fields=True)
    except (OSError, ValueError, json_format.ParseError):
        return None

"""What a model repository holds of a model: its versions, those that a rollback withdrew, and their manifests."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_api.version_folder import MAX_VERSION, version_number
from training.errors import VersionError, quoted

# Before the number of a version that a rollback withdrew. kan-serve and Triton ignore such folders.
WITHDRAWN_PREFIX = ".withdrawn-"
# Before the same number: an empty file that keeps the number taken if the withdrawn folder is removed.
_TAKEN_PREFIX = ".taken-"


def published_versions(model_folder: Path) -> list[int]:
    """Version numbers in a model's folder, ascending."""
    if not model_folder.is_dir():
        return []
    numbered = [(version_number(path.name), path) for path in model_folder.iterdir()]
    return sorted(version for version, path in numbered if version is not None and path.is_dir())


def holds_models(folder: Path) -> bool:
    """Whether a folder is a model repository: a folder in it has versions, and itself it has none with a manifest."""
    return not _holds_versions(folder) and _has_models(folder)


def is_model_folder(folder: Path) -> bool:
    """Whether a folder is that of a model: it has versions with a manifest, and no models."""
    return _holds_versions(folder) and not _has_models(folder)


def _holds_versions(folder: Path) -> bool:
    return any((folder / str(version) / "manifest.json").is_file() for version in published_versions(folder))


def _has_models(folder: Path) -> bool:
    return folder.is_dir() and any(published_versions(each) for each in folder.iterdir() if each.name[0] != ".")


def withdrawn_versions(model_folder: Path) -> list[int]:
    """Numbers of the versions that a rollback withdrew, ascending."""
    return _numbers_after(model_folder, WITHDRAWN_PREFIX)


def withdraw(model_folder: Path, version: int) -> None:
    """Hide a version from kan-serve, and keep its number taken for good."""
    (model_folder / f"{_TAKEN_PREFIX}{version}").touch()
    (model_folder / str(version)).rename(model_folder / f"{WITHDRAWN_PREFIX}{version}")


def next_version(model_folder: Path) -> int:
    """The number after all that were published, withdrawn ones included: a number is never given twice."""
    taken = _numbers_after(model_folder, _TAKEN_PREFIX)
    return max((0, *published_versions(model_folder), *withdrawn_versions(model_folder), *taken)) + 1


def _numbers_after(model_folder: Path, prefix: str) -> list[int]:
    names = (path.name.removeprefix(prefix) for path in model_folder.glob(f"{prefix}*"))
    return sorted(version for name in names if (version := version_number(name)) is not None)


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


def read_newest_manifest(model_folder: Path) -> ModelManifest | None:
    """That of the newest version of a model; None if there is none, or if it cannot be read."""
    versions = published_versions(model_folder)
    return read_manifest(model_folder / str(versions[-1])) if versions else None


def describe_other_identity(manifest: ModelManifest, name: str, version: int) -> str:
    """What a manifest says if it names another model or version than its folder; "" if they agree.

    kan-serve refuses such a version. A folder that was copied by hand is one.
    """
    if (manifest.name, manifest.version) == (name, version):
        return ""
    if not manifest.name:
        return "its manifest.json names no model; wanted the file that kan-train published"
    return f"its manifest.json is of version {manifest.version} of {quoted(manifest.name)}"


def find_newest(folder: Path, advice: str) -> tuple[Path, ModelManifest]:
    """The folder of the newest version of a model, absolute, and its manifest. An older version is refused.

    Args:
        folder: ``models/<name>/<version>``.
        advice: What to do with the newest version; for the message, if ``folder`` is an older one.

    Raises:
        VersionError: the version does not exist, is not the newest, or its manifest was changed.
    """
    folder = folder.absolute()
    if version_number(folder.name) is None:
        raise VersionError(
            f"{folder}: no model version: wanted a folder models/NAME/VERSION, where VERSION is a number from 1 to "
            f"{MAX_VERSION}"
        )
    manifest = read_manifest(folder)
    if manifest is None:
        raise VersionError(
            f"{folder}: no model version; wanted a folder models/NAME/VERSION with a whole manifest.json"
        )
    if other := describe_other_identity(manifest, folder.parent.name, int(folder.name)):
        raise VersionError(f"{folder}: {other}; wanted the folder as it was published")
    newest = published_versions(folder.parent)[-1]
    if str(newest) != folder.name:
        raise VersionError(f"{folder}: version {newest} is newer; {advice}: {folder.parent / str(newest)}")
    return folder, manifest

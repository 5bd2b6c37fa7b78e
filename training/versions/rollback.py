"""Go back to an earlier version of a model: withdraw the newer ones, and keep their numbers taken."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError, kind_of
from training.publishing.repository import (
    locked,
    published_versions,
    read_manifest,
    withdraw,
)
from training.publishing.staging import flush_folder
from training.publishing.triton import configure_triton
from training.versions.listing import manifest_fault, model_folder, no_such_model


class RollbackError(TrainingError):
    """The model cannot go back to that version."""


@dataclass(frozen=True)
class Rollback:
    """What a rollback did.

    Attributes:
        model: The model's name.
        version: The newest version now.
        withdrawn: The versions that were withdrawn, newest first; empty if `version` was the newest before.
        notes: Further lines for the user.
    """

    model: str
    version: int
    withdrawn: tuple[int, ...]
    notes: tuple[str, ...] = ()


def roll_back(models: Path, name: str, to: int | None = None) -> Rollback:
    """Withdraw the newest version of a model, or all that are newer than a given one.

    Versions are withdrawn newest first, each by one rename. A rollback that is killed half-way leaves an earlier
    version as the newest, and the same command goes on from there.

    Args:
        models: The model repository.
        name: The model.
        to: The version that becomes the newest; None: the one before the newest published one, whether or not a
            server refuses that: only the server knows. The notes tell.

    Raises:
        RollbackError: there is no such model or version, none before the only one, or kan-serve would refuse that
            version; or the newest version changed meanwhile, or a folder cannot be renamed.
    """
    folder = model_folder(models, name)
    versions = published_versions(folder)
    if not versions:
        raise RollbackError(no_such_model(models, name))
    newest = versions[-1]
    target = _target(folder, versions, to)
    _check_servable(folder, target)
    newer = [version for version in reversed(versions) if version > target]
    from_newest = () if to is not None else (_tell_newest(folder, newest, target),)
    try:
        with locked(folder):
            now = max(published_versions(folder), default=0)
            if now != newest:
                raise RollbackError(
                    f"{folder}: version {now} is the newest now, {newest} was when this began: another kan-train was "
                    "at work here; look at `kan-train list`, then try again"
                )
            for version in newer:
                withdraw(folder, version)
            flush_folder(folder)
    except OSError as error:
        message = f"{error.filename or folder}: cannot withdraw the version: {error.strerror}"
        raise kind_of(error, RollbackError)(message) from error
    manifest = read_manifest(folder / str(target))
    notes = configure_triton(folder, manifest) if newer and manifest is not None else ()
    return Rollback(name, target, tuple(newer), (*from_newest, *notes))


def _target(folder: Path, versions: list[int], to: int | None) -> int:
    if to is not None:
        if to not in versions:
            raise RollbackError(
                f"{folder}: there is no version {to}; wanted one of {', '.join(map(str, reversed(versions[-10:])))}"
            )
        return to
    if len(versions) == 1:
        raise RollbackError(
            f"{folder}: version {versions[0]} is the only one, so there is none to go back to; publish a better one"
        )
    return versions[-2]


def _tell_newest(folder: Path, newest: int, target: int) -> str:
    """What a default rollback went back from: with a version that was refused, an older one has answered."""
    try:
        fault = _fault(folder, newest)
    except OSError as error:
        fault = f"{error.filename}: cannot read it: {error.strerror}"
    if fault:
        return (
            f"kan-serve refuses version {newest}, so version {target} may have answered before, and then nothing has "
            f"changed; --to goes back further ({fault})"
        )
    return (
        f"went back from version {newest}, the newest published one. A server may have refused {newest} and answered "
        f"with an older version; check with: kan-client describe {folder.name}"
    )


def _check_servable(folder: Path, version: int) -> None:
    """Refuse a version that kan-serve would refuse: the model would lose its answers at the next start."""
    kind: type[TrainingError] = RollbackError
    try:
        fault = _fault(folder, version)
    except OSError as error:
        fault, kind = f"{error.filename}: cannot read it: {error.strerror}", kind_of(error, RollbackError)
    if fault:
        raise kind(f"{fault}; {_remedy(folder, version)}")


def _remedy(folder: Path, version: int) -> str:
    """What to do where a version would be refused: the newest earlier one that would not be."""
    for earlier in reversed(published_versions(folder)):
        with suppress(OSError):
            if earlier < version and not _fault(folder, earlier):
                return f"version {earlier} is the newest earlier one that is whole; go back to it by --to {earlier}"
    return "no earlier version is whole; name another one by --to, as `kan-train list` shows them"


def _fault(folder: Path, version: int) -> str:
    """Why kan-serve would refuse a version, as far as its files tell; "" if they are as published.

    Raises:
        OSError: a file of the version cannot be read.
    """
    here = folder / str(version)
    manifest = read_manifest(here)
    if manifest is None:
        return f"{here}: its manifest.json is absent or damaged"
    if fault := manifest_fault(manifest, folder.name, version):
        return f"{here}: {fault}, so kan-serve refuses it (was the folder copied or edited?)"
    for file in manifest.files:
        if hashlib.sha256((here / file.name).read_bytes()).hexdigest() != file.sha256:
            return f"{here / file.name}: it was changed after publication"
    return ""

"""Put a model version into a model repository: whole or not at all, never over another."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf import json_format

from kan_api.compatibility import difference, difference_of_answers
from kan_api.excess import excess
from kan_api.limits import DEFAULT_MAX_MODEL_BYTES, MAX_MANIFEST_BYTES
from kan_api.v1.manifest_pb2 import File, ModelManifest
from kan_api.version_folder import MAX_VERSION
from training.errors import TrainingError, kind_of
from training.publishing.repository import (
    holds_models,
    is_model_folder,
    locked,
    next_version,
    published_versions,
    read_newest_manifest,
)
from training.publishing.staging import flush_folder, remove_abandoned, staging_folder, write_file
from training.publishing.succession.restoring import restoring_keys
from training.publishing.triton import configure_triton

# Takes the number of the version, returns content by file name. The number is certain only when the folder is renamed.
Files = Callable[[int], Mapping[str, bytes]]


class PublishError(TrainingError):
    """The version cannot be put into the repository."""


class CannotFollow(PublishError):
    """The version cannot replace the model's newest one. The text is for somebody who has a recipe.

    Attributes:
        before: The manifest of the newest version.
        now: The manifest of the refused one.
        reason: How they differ.
        is_of_inputs: Whether they differ in the inputs alone, so that those of the newest version mend it.
    """

    def __init__(self, before: ModelManifest, now: ModelManifest, reason: str) -> None:
        self.before, self.now, self.reason = before, now, reason
        self.is_of_inputs = not difference_of_answers(before, now)
        keys = restoring_keys(before, now) if self.is_of_inputs else ""
        remedy = f", or restore the inputs of version {before.version} by {keys}" if keys else ""
        super().__init__(
            f"model {now.name}: this version cannot follow: {reason}; give the new model a name of its own{remedy}"
        )

    def __reduce__(self) -> tuple[type, tuple[ModelManifest, ModelManifest, str]]:
        """As a worker of joblib sends it: by its arguments, which are not its text."""
        return type(self), (self.before, self.now, self.reason)


@dataclass(frozen=True)
class Published:
    """A version that readers of the repository can see.

    Attributes:
        folder: ``models/<name>/<version>``.
        manifest: The manifest in that folder.
        notes: Further lines for the user.
    """

    folder: Path
    manifest: ModelManifest
    notes: tuple[str, ...] = ()


def publish(models: Path, manifest: ModelManifest, files: Files, *, after: int | None = None) -> Published:
    """Write the next version of a model.

    The files are written to a hidden folder beside the versions, flushed to disk, and renamed into place. If two
    processes publish at once, the second one takes the next number. Then Triton's config.pbtxt is written.
    Hidden folders that killed publishers left are removed.

    Args:
        models: The model repository; it is created if it does not exist.
        manifest: Its name is the model; version and files are filled in here.
        files: Takes the version, returns content by file name ("model.onnx").
        after: The version that must still be the newest; None: any.

    Raises:
        CannotFollow: the newest version has other inputs, task or classes.
        PublishError: another version came between; or the folder cannot be written. If only config.pbtxt cannot be
            written, the version is published and a note says so.
        SystemFailed: the disk is full, for example.
    """
    check_successor(models, manifest)
    model_folder = models / manifest.name
    with telling_failures(model_folder):
        model_folder.mkdir(parents=True, exist_ok=True)
        warnings = remove_abandoned(model_folder)
        with staging_folder(model_folder) as temporary:
            published = _rename_to_next_version(model_folder, temporary, manifest, files, after)
    notes = (*published.notes, *configure_triton(model_folder, published.manifest), *warnings)
    return replace(published, notes=notes)


@contextmanager
def telling_failures(model_folder: Path) -> Iterator[None]:
    """Raise PublishError or SystemFailed, with the model's folder, where a file or folder fails inside the block."""
    try:
        yield
    except OSError as error:
        wanted = "; wanted a folder that you may read and write" if isinstance(error, PermissionError) else ""
        raise kind_of(error, PublishError)(
            f"{model_folder}: cannot publish: {error.strerror} ({error.filename or model_folder.name}){wanted}"
        ) from error


def check_successor(models: Path, manifest: ModelManifest) -> None:
    """Refuse a version that cannot replace the model's newest one, and a repository that is none or cannot be written.

    Args:
        models: The model repository.
        manifest: The new version's manifest so far; its name, features, task, classes and size are checked.

    Raises:
        CannotFollow: inputs, task or classes differ; the message says which.
        PublishError: the manifest is larger than kan-serve accepts; no number is left for a version; the model's folder
            is a repository, or the repository a model's folder; or the folder may not be read, or created.
    """
    name = manifest.name
    _text(manifest)
    with telling_failures(models / name):
        _check_levels(models, name)
        _check_writable(models / name)
        if published_versions(models / name):
            _check_number(models / name, next_version(models / name))
        before = read_newest_manifest(models / name)
    # A version that cannot be read sets no requirements.
    if before is not None and (reason := difference(before, manifest)):
        raise CannotFollow(before, manifest, reason)


def _check_levels(models: Path, name: str) -> None:
    """Check that the repository is not a model's folder, nor the other way round: no server would look there."""
    with suppress(OSError):  # What cannot be read decides nothing; a folder that cannot be written is told next.
        if holds_models(models / name):
            raise PublishError(
                f"{models / name} is a repository that holds models; wanted {models / name}/NAME, the folder of a model"
            )
        if is_model_folder(models):
            raise PublishError(
                f"{models} is the folder of a model, with its versions; wanted the repository that holds such folders, "
                f"{models.absolute().parent}"
            )


def _check_writable(folder: Path) -> None:
    """Check, before hours of training, that the nearest existing folder can be written to."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise PublishError(f"{folder}: cannot publish: {nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PublishError(f"{folder}: cannot publish: no permission to write to {nearest}")


def _check_number(model_folder: Path, version: int) -> None:
    if version > MAX_VERSION:
        raise PublishError(
            f"{model_folder}: cannot publish: the next version would be {version}, and {MAX_VERSION} is the largest; "
            f"remove the folder {model_folder / str(MAX_VERSION)}, or give the new model a name of its own"
        )


def _rename_to_next_version(
    model_folder: Path, temporary: Path, manifest: ModelManifest, files: Files, after: int | None
) -> Published:
    version = 0
    while True:
        version = max(version + 1, next_version(model_folder))
        _check_number(model_folder, version)
        written = _write_version(temporary, manifest, version, files(version))
        folder = model_folder / str(version)
        with locked(model_folder):
            newest = max(published_versions(model_folder), default=0)
            if after is not None and newest != after:
                what = f"version {newest} was published" if newest > after else f"version {after} was withdrawn"
                raise PublishError(f"{model_folder}: {what} meanwhile; wanted {after} as the newest version")
            if next_version(model_folder) > version:
                continue  # Another process took the number.
            try:
                temporary.rename(folder)  # Fails if the target is not empty: no version is ever overwritten.
            except OSError:
                if not folder.exists():
                    raise
                continue
        flush_folder(model_folder)
        return Published(folder, written, _notes(written))


def _write_version(folder: Path, manifest: ModelManifest, version: int, files: Mapping[str, bytes]) -> ModelManifest:
    """Write all files of a version and the manifest that lists them."""
    complete = ModelManifest()
    complete.CopyFrom(manifest)
    complete.version = version
    del complete.files[:]
    for name, content in files.items():
        write_file(folder / name, content)
        complete.files.append(File(name=name, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content)))
    write_file(folder / "manifest.json", _text(complete))
    flush_folder(folder)
    return complete


def _text(manifest: ModelManifest) -> bytes:
    """The content of manifest.json. One above the limits in kan_api.limits is refused, as kan-serve would refuse it."""
    text = json_format.MessageToJson(
        manifest,
        preserving_proto_field_name=True,
        ensure_ascii=False,
        # Zeros and empty strings too, so that a reader without the .proto file sees all fields.
        always_print_fields_with_no_presence=True,
    ).encode()
    reason = excess(manifest)
    if not reason and len(text) > MAX_MANIFEST_BYTES:
        reason = f"manifest.json has {len(text)} bytes, at most {MAX_MANIFEST_BYTES} are allowed"
    if reason:
        raise PublishError(
            f"model {manifest.name} cannot be published, because kan-serve would refuse it: {reason}; "
            "give it fewer columns, fewer words and classes, or shorter texts"
        )
    return text


def _notes(manifest: ModelManifest) -> tuple[str, ...]:
    return tuple(
        f"{file.name} has {file.size_bytes} bytes: start kan-serve with --max-model-bytes {file.size_bytes} or more"
        for file in manifest.files
        if file.name == "model.onnx" and file.size_bytes > DEFAULT_MAX_MODEL_BYTES
    )

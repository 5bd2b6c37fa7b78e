"""The versions of a repository, each with what its manifest tells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from kan_api.metric_names import shown_name
from kan_api.network_text import size_text
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from training.errors import TrainingError, quoted, quoted_list
from training.publishing.repository import (
    WITHDRAWN_PREFIX,
    describe_other_identity,
    published_versions,
    read_manifest,
    withdrawn_versions,
)

_MODEL: Final = "model.onnx"  # not from training.publishing.export, which loads torch: a list is quick
State = Literal["newest", "older", "withdrawn", "unreadable", "refused"]


class ListingError(TrainingError):
    """The repository or the model is absent."""


@dataclass(frozen=True)
class ListedVersion:
    """One version.

    Attributes:
        model: The model's name.
        version: Its number.
        state: "newest" is the newest version that kan-serve may answer with, "older" ones come before it; "withdrawn"
            ones were taken back by a rollback; the manifest of an "unreadable" one is absent or damaged; that of a
            "refused" one names another model or version, or its model.onnx is absent or of another size.
        created: When it was published, as RFC 3339.
        task: "regression" or "classification".
        score: The first metric on the test rows, "R² 0.93" for example; empty if no test rows were held out.
        size: Parameters or functions of the network.
        folder: Where it is.
        fault: Why kan-serve refuses a "refused" or "unreadable" version; else empty.
    """

    model: str
    version: int
    state: State
    created: str
    task: str
    score: str
    size: str
    folder: str
    fault: str = ""


def list_versions(models: Path, name: str | None = None) -> list[ListedVersion]:
    """The versions of a repository by model, the newest first.

    Args:
        models: The model repository.
        name: One model; None: all.

    Raises:
        ListingError: there is no such repository or model.
    """
    if not models.is_dir():
        raise ListingError(
            f"{models}: there is no model repository; wanted the folder that `kan-train run` publishes to"
        )
    if name is not None and not published_versions(model_folder(models, name)):
        raise ListingError(no_such_model(models, name))
    names = _names(models) if name is None else [name]
    return [version for each in names for version in _versions_of(models / each)]


def model_folder(models: Path, name: str) -> Path:
    """The folder of a model. A path in the place of a name would lead elsewhere.

    Raises:
        ListingError: the name is a path.
    """
    if name in ("", ".", "..") or Path(name).name != name:
        raise ListingError(no_such_model(models, name))
    return models / name


def version_lines(versions: Sequence[ListedVersion]) -> list[str]:
    """A table for people, with a line of headings, and a line for each version that kan-serve refuses."""
    rows = [("model", "version", "state", "published", "test rows", "network")]
    rows += [(each.model, str(each.version), each.state, each.created, each.score, each.size) for each in versions]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return lines + [f"{each.folder}: kan-serve refuses it: {each.fault}" for each in versions if each.fault]


def no_such_model(models: Path, name: str) -> str:
    """Why a name is no model's, with the names that are."""
    names = [each for each in _names(models) if published_versions(models / each)] if models.is_dir() else []
    there = f"wanted one of {quoted_list(names)}" if names else "it holds no models"
    return f"{models}: there is no model {quoted(name)}; {there}"


def _names(models: Path) -> list[str]:
    return sorted(path.name for path in models.iterdir() if path.is_dir() and not path.name.startswith("."))


def _versions_of(folder: Path) -> Iterator[ListedVersion]:
    published, withdrawn = published_versions(folder), withdrawn_versions(folder)
    state: State = "newest"
    for version in sorted({*published, *withdrawn}, reverse=True):
        if version in published:
            yield (listed := _listed(folder.name, version, folder / str(version), state))
            state = "older" if listed.state == "newest" else state
        else:
            yield _listed(folder.name, version, folder / f"{WITHDRAWN_PREFIX}{version}", "withdrawn")


def _listed(model: str, version: int, folder: Path, state: State) -> ListedVersion:
    if (manifest := read_manifest(folder)) is None:
        fault = "" if state == "withdrawn" else "its manifest.json is absent or damaged"
        return ListedVersion(model, version, "unreadable", "", "", "", "", str(folder), fault)
    fault = manifest_fault(manifest, model, version) or _damage(folder, manifest)
    fault = "" if state == "withdrawn" else fault
    return ListedVersion(
        model,
        version,
        "refused" if fault else state,
        manifest.created,
        "classification" if manifest.task == TASK_CLASSIFICATION else "regression",
        _score(manifest),
        size_text(manifest.network),
        str(folder),
        fault,
    )


def manifest_fault(manifest: ModelManifest, model: str, version: int) -> str:
    """Why kan-serve refuses a version by its manifest alone: another identity, or not one model.onnx. "" if it fits."""
    if other := describe_other_identity(manifest, model, version):
        return other
    count = sum(file.name == _MODEL for file in manifest.files)
    return "" if count == 1 else f"its manifest.json lists {_MODEL} {count} times, wanted once"


def _damage(folder: Path, manifest: ModelManifest) -> str:
    """What is wrong with model.onnx, by its size alone: a list reads no large files. "" if nothing is."""
    [size] = [file.size_bytes for file in manifest.files if file.name == _MODEL]
    try:
        found = (folder / _MODEL).stat().st_size
    except OSError as error:
        return f"{_MODEL} cannot be read: {error.strerror}"
    return "" if found == size else f"{_MODEL} has {found} bytes, its manifest.json says {size}"


def _score(manifest: ModelManifest) -> str:
    for name in ("accuracy", "r2", "rmse"):
        if (value := manifest.metrics.get(f"test_{name}")) is not None:
            return f"{shown_name(name)} {value:.4g}"
    return ""

"""A published version as it is on disk: its manifest, its network, and what stands before and behind that."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.network import checkpoint
from training.errors import TrainingError
from training.publishing.export import NETWORK, Trained
from training.publishing.publish import published_versions, read_manifest


class VersionError(TrainingError):
    """A version cannot be used for what was asked."""


@dataclass(frozen=True)
class Version:
    """A version that is whole.

    Attributes:
        folder: ``models/<name>/<version>``, absolute.
        manifest: As published.
        trained: The network, equal to the bit to the one that was trained.
        output_scale: ``[outputs]``, what errors are relative to, as training found it.
    """

    folder: Path
    manifest: ModelManifest
    trained: Trained
    output_scale: NDArray[np.float64]


def read_newest(folder: Path, advice: str) -> Version:
    """Read a version that is its model's newest: an older one, used again, would bring an old network back.

    Args:
        folder: ``models/<name>/<version>``.
        advice: What the message says to do with the newest one where this is not it.

    Raises:
        VersionError: no such version, a newer one, one without its network, or one that was changed.
    """
    folder = folder.absolute()
    manifest = read_manifest(folder)
    if manifest is None:
        raise VersionError(
            f"{folder}: no model version: wanted a folder models/NAME/VERSION with a whole manifest.json"
        )
    if (manifest.name, str(manifest.version)) != (folder.parent.name, folder.name):
        raise VersionError(
            f"{folder}: its manifest.json is of version {manifest.version} of {manifest.name}; wanted the folder as it "
            "was published"
        )
    newest = published_versions(folder.parent)[-1]
    if str(newest) != folder.name:
        raise VersionError(f"{folder}: version {newest} is newer; {advice}: {folder.parent / str(newest)}")
    trained = _trained(folder, manifest)
    return Version(folder, manifest, trained, _output_scale(folder, manifest, trained))


def _trained(folder: Path, manifest: ModelManifest) -> Trained:
    listed = {file.name: file.sha256 for file in manifest.files}
    if NETWORK not in listed:
        raise VersionError(
            f"{folder}: the version holds no {NETWORK} (kan-serving {manifest.library_version} wrote it); train it anew"
        )
    try:
        content = (folder / NETWORK).read_bytes()
        if hashlib.sha256(content).hexdigest() != listed[NETWORK]:
            raise VersionError(f"{folder / NETWORK}: its sha256 is not the one in manifest.json; the file was changed")
        return Trained(checkpoint.from_bytes(content), *checkpoint.transforms(content))
    except OSError as error:
        raise VersionError(f"{folder / NETWORK}: cannot read it: {error.strerror}") from None
    except ValueError as error:
        raise VersionError(f"{folder / NETWORK}: {error}") from None


def _output_scale(folder: Path, manifest: ModelManifest, trained: Trained) -> NDArray[np.float64]:
    scale = np.array(manifest.lowering.output_scale)
    width = trained.kan.width
    if (len(manifest.features), len(scale)) != (width[0], width[-1]) or not np.all((scale > 0) & np.isfinite(scale)):
        raise VersionError(
            f"{folder}: its manifest.json has {len(manifest.features)} features and output_scale {scale.tolist()}; its "
            f"network wants {width[0]} features and {width[-1]} numbers above 0"
        )
    return scale

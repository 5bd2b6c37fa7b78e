"""Read a published version from disk: its manifest, and its network with the transforms."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.network import checkpoint
from kan_model.network.transform import count_features
from training.errors import VersionError as VersionError
from training.errors import kind_of
from training.publishing.export import NETWORK, Trained
from training.publishing.repository import find_newest


@dataclass(frozen=True)
class Version:
    """A complete version.

    Attributes:
        folder: ``models/<name>/<version>``, absolute.
        manifest: The published manifest.
        trained: The network, bit for bit the one that was trained.
        output_scale: ``[outputs]``, the divisor of errors, from the manifest.
    """

    folder: Path
    manifest: ModelManifest
    trained: Trained
    output_scale: NDArray[np.float64]


def read_newest(folder: Path, advice: str) -> Version:
    """Read the newest version of a model. An older one is refused, because its network would replace the newest one.

    Args:
        folder: ``models/<name>/<version>``.
        advice: What to do with the newest version; for the message, if ``folder`` is an older one.

    Raises:
        VersionError: the version does not exist, is not the newest, has no network, or was changed.
    """
    folder, manifest = find_newest(folder, advice)
    trained = _read_network(folder, manifest)
    return Version(folder, manifest, trained, _read_output_scale(folder, manifest, trained))


def _read_network(folder: Path, manifest: ModelManifest) -> Trained:
    listed = {file.name: file.sha256 for file in manifest.files}
    if NETWORK not in listed:
        raise VersionError(
            f"{folder}: the version holds no {NETWORK} (kan-serving {manifest.library_version} wrote it); train it anew"
        )
    try:
        content = (folder / NETWORK).read_bytes()
        if hashlib.sha256(content).hexdigest() != listed[NETWORK]:
            raise VersionError(f"{folder / NETWORK}: its sha256 is not the one in manifest.json; the file was changed")
        transforms = checkpoint.transforms(content)
        return Trained(checkpoint.from_bytes(content), *transforms, intervals=checkpoint.intervals(content))
    except OSError as error:
        raise kind_of(error, VersionError)(f"{folder / NETWORK}: cannot read it: {error.strerror}") from None
    except ValueError as error:
        raise VersionError(f"{folder / NETWORK}: {error}") from None


def _read_output_scale(folder: Path, manifest: ModelManifest, trained: Trained) -> NDArray[np.float64]:
    scale = np.array(manifest.lowering.output_scale)
    features, outputs = count_features(trained.kan.width[0], trained.inputs), trained.kan.width[-1]
    if (len(manifest.features), len(scale)) != (features, outputs) or not np.all((scale > 0) & np.isfinite(scale)):
        raise VersionError(
            f"{folder}: its manifest.json has {len(manifest.features)} features and output_scale {scale.tolist()}; its "
            f"network wants {features} features and {outputs} numbers above 0"
        )
    return scale

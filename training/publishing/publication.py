"""Publish the result of a run once, even if the run is stopped while it publishes.

Between the rename of the version's folder and the end of the run, the process may be killed or the disk may be full.
The run then still has its state, and when it is resumed it makes the same network again, bit for bit. So a version
with the same network and recipe, published after the run's note, is the run's own.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.network import checkpoint
from training.publishing.export import NETWORK
from training.publishing.publish import Files, Published, publish
from training.publishing.repository import published_versions, read_manifest
from training.publishing.triton import configure_triton

_NAME = "publishing.json"


def publish_once(
    folder: Path,
    models: Path,
    manifest: ModelManifest,
    files: Files,
    network: bytes,
    *,
    resumed: bool,
    after: int | None = None,
) -> Published:
    """Publish the result of a run, or find the version that the run published before it was stopped.

    Args:
        folder: The folder of the run.
        models: The model repository.
        manifest: As for :func:`training.publishing.publish.publish`.
        files: As for :func:`training.publishing.publish.publish`.
        network: The bytes of network.safetensors.
        resumed: Whether the run was resumed; a new run has published nothing.
        after: As for :func:`training.publishing.publish.publish`.

    Raises:
        PublishError, SystemFailed: as :func:`training.publishing.publish.publish`.
    """
    model_folder = models / manifest.name
    if resumed and (found := _find_published(folder, model_folder, network, manifest.recipe)):
        note = f"version {found.manifest.version} was published before the run was stopped; it is not published again"
        return replace(found, notes=(note, *configure_triton(model_folder, found.manifest)))
    _write_note(folder, model_folder, network)
    return publish(models, manifest, files, after=after)


def forget(folder: Path) -> None:
    """Remove the note, because the run has ended."""
    (folder / _NAME).unlink(missing_ok=True)


def _write_note(folder: Path, model_folder: Path, network: bytes) -> None:
    """Write a note with the sha256 of the network to publish, and the newest version so far."""
    newest = max(published_versions(model_folder), default=0)
    content = {"newest_version": newest, "network_sha256": hashlib.sha256(network).hexdigest()}
    checkpoint.write_atomically(folder / _NAME, json.dumps(content).encode())


def _find_published(folder: Path, model_folder: Path, network: bytes, recipe: str) -> Published | None:
    """The version with the same network and recipe that was published after the note; None: there is none."""
    try:
        noted = json.loads((folder / _NAME).read_bytes())
        newest, sha256 = int(noted["newest_version"]), str(noted["network_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if sha256 != hashlib.sha256(network).hexdigest():
        return None
    for version in published_versions(model_folder):
        manifest = read_manifest(model_folder / str(version)) if version > newest else None
        if manifest is None or manifest.recipe != recipe:
            continue
        if any((file.name, file.sha256) == (NETWORK, sha256) for file in manifest.files):
            return Published(model_folder / str(version), manifest)
    return None

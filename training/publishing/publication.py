"""What a run keeps while it publishes, so that it publishes once.

A version gets its name at one moment, and the run ends at a later one: between them the process may be killed, or the
disk be full. The run then still has its state. Gone on with, it makes the same network again, to the bit; by that, and
by its recipe, it knows the version that is its own.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_model.network import checkpoint
from training.publishing.export import NETWORK
from training.publishing.publish import Files, Published, configure_triton, publish, published_versions, read_manifest

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
    """Publish what a run made, or find the version that it published before it was stopped.

    Args:
        folder: Of the run.
        models: The model repository.
        manifest: As :func:`training.publishing.publish.publish` gets it.
        files: Likewise.
        network: The bytes of network.safetensors.
        resumed: Whether the run is gone on with; one that begins has published nothing.
        after: As :func:`training.publishing.publish.publish` gets it.

    Raises:
        PublishError: as :func:`training.publishing.publish.publish`.
    """
    model_folder = models / manifest.name
    if resumed and (found := _published_before(folder, model_folder, network, manifest.recipe)):
        told = f"version {found.manifest.version} was published before the run was stopped; no other one is"
        return replace(found, notes=(told, *configure_triton(model_folder, found.manifest)))
    _announce(folder, model_folder, network)
    return publish(models, manifest, files, after=after)


def forget(folder: Path) -> None:
    """The run has ended."""
    (folder / _NAME).unlink(missing_ok=True)


def _announce(folder: Path, model_folder: Path, network: bytes) -> None:
    """Note which network is about to be published, and which version is the newest so far."""
    newest = max(published_versions(model_folder), default=0)
    content = {"newest_version": newest, "network_sha256": hashlib.sha256(network).hexdigest()}
    checkpoint.write_atomically(folder / _NAME, json.dumps(content).encode())


def _published_before(folder: Path, model_folder: Path, network: bytes, recipe: str) -> Published | None:
    """The version that came after the note, with the same network and recipe."""
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

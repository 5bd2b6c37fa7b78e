"""What a model repository holds of a model: its versions, and their manifests."""

from pathlib import Path

from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import ModelManifest
from kan_api.version_folder import version_number


def published_versions(model_folder: Path) -> list[int]:
    """Version numbers in a model's folder, ascending."""
    if not model_folder.is_dir():
        return []
    numbered = [(version_number(path.name), path) for path in model_folder.iterdir()]
    return sorted(version for version, path in numbered if version is not None and path.is_dir())


def read_manifest(folder: Path) -> ModelManifest | None:
    """A version's manifest; None if it cannot be read."""
    try:
        return json_format.Parse((folder / "manifest.json").read_bytes(), ModelManifest(), ignore_unknown_fields=True)
    except (OSError, ValueError, json_format.ParseError):
        return None

"""Manifests of published versions are read. Which folders are versions: tests/kan_api/test_version_folder.py."""

from pathlib import Path

import pytest
from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from training.publishing.publish import publish
from training.publishing.repository import published_versions, read_manifest


def test_a_manifest_without_its_zeros_is_read_as_one_with_them(tmp_path: Path) -> None:
    """As kan-train wrote them before: nothing that was published becomes unreadable."""
    manifest = ModelManifest(name="flowers", features=[Feature(name="from zero", high=5)])
    folder = publish(tmp_path, manifest, lambda _: {"model.onnx": b"one"}).folder
    whole = read_manifest(folder)
    assert whole is not None
    (folder / "manifest.json").write_text(json_format.MessageToJson(whole, preserving_proto_field_name=True))
    assert '"low"' not in (folder / "manifest.json").read_text()
    assert read_manifest(folder) == whole


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe", b'{"name": 1}'])
def test_a_manifest_that_cannot_be_read_is_none(tmp_path: Path, content: bytes | None) -> None:
    """It is absent, torn, no UTF-8, or of other types."""
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    assert read_manifest(tmp_path) is None


def test_a_model_without_a_folder_has_no_versions(tmp_path: Path) -> None:
    """Nothing was published under this name."""
    assert published_versions(tmp_path / "flowers") == []

"""The shape of images in a manifest."""

from pathlib import Path

import pytest

from service.errors import ModelRefused
from service.repository.manifest import check_manifest
from tests.kit.models.repository import read_manifest, write_version


def test_an_image_has_as_many_numbers_as_features(tmp_path: Path) -> None:
    """Channels, height and width whose product is the number of features; else the version is refused."""
    manifest = read_manifest(write_version(tmp_path, "affine"))
    manifest.image_shape[:] = [1, 2, 2]
    check_manifest(manifest, 2**20)
    for shape in ([4], [1, 2, 3], [0, 2, 2], [-1, -2, 2]):
        manifest.image_shape[:] = shape
        with pytest.raises(ModelRefused, match="image_shape"):
            check_manifest(manifest, 2**20)

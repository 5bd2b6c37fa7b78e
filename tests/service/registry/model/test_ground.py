"""The policy of a version, as its manifest has it; what no server could obey is refused."""

from pathlib import Path

import numpy as np
import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import ModelRefused
from service.metrics.metrics import Metrics
from service.registry.model.live_model import LiveModel, load
from service.repository.disk import read_version
from service.settings import Settings
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import WriteModel


def _load(models: Path) -> LiveModel:
    return load(read_version(models, "affine", 1), Settings(), Metrics())


@pytest.mark.parametrize(
    ("policy", "flags", "refuses"),
    [("", False, False), ("answer", False, False), ("flag", True, False), ("refuse", False, True)],
)
def test_the_policy_is_the_manifests(
    models: Path, write_model: WriteModel, policy: str, flags: bool, refuses: bool
) -> None:
    """An empty one is "answer"; the known ground is there under each."""
    write_model("affine", change=with_ground(policy))
    ground = _load(models).ground
    assert (ground.flags, ground.refuses) == (flags, refuses)
    assert ground.known is not None
    assert ground.known.unknown(np.array([[0, 1.5, 4, 3]], np.float32)).tolist() == [[False, True, True, False]]


def test_a_version_without_histograms_has_no_known_ground(models: Path, write_model: WriteModel) -> None:
    """It is served, as it always was."""
    write_model("affine")
    assert _load(models).ground.known is None


def test_a_version_that_cannot_tell_what_to_refuse_is_refused(models: Path, write_model: WriteModel) -> None:
    """It would answer rows that it promises to refuse."""

    def change(manifest: ModelManifest) -> None:
        manifest.unknown_ground = "refuse"

    write_model("affine", change=change)
    with pytest.raises(ModelRefused, match="wanted histograms") as caught:
        _load(models)
    assert caught.value.kind == "manifest"


def test_a_policy_that_is_not_known_is_refused(models: Path, write_model: WriteModel) -> None:
    """It may be stricter than all known ones."""
    write_model("affine", change=with_ground("shout" * 800))
    with pytest.raises(ModelRefused, match="wanted one of answer, flag, refuse") as caught:
        _load(models)
    assert len(str(caught.value)) < 300

"""A published version is read as it was written, or refused with the reason."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kan_api.v1.manifest_pb2 import Feature, Lowering, ModelManifest
from kan_model import KAN, KANConfig
from kan_model.network.transform import Affine, InputTransform
from training.publishing.export import NETWORK, Trained, network_bytes
from training.publishing.publish import publish
from training.publishing.version import VersionError, read_newest

ONE, TWO = np.ones(1, np.float32), np.ones(2, np.float32)
TRAINED = Trained(KAN(KANConfig((2, 1), noise=0.5)), InputTransform(TWO, TWO, TWO), Affine(ONE, 3 * ONE))


def published(models: Path, network: bytes | None = None, scale: float = 2.5) -> Path:
    """The folder of a new version of `TRAINED`."""
    manifest = ModelManifest(
        name="flowers",
        features=[Feature(name="a"), Feature(name="b")],
        lowering=Lowering(output_scale=[scale]),
    )
    content = network_bytes(TRAINED) if network is None else network
    return publish(models, manifest, lambda _: {"model.onnx": b"graph", NETWORK: content}).folder


def test_a_version_is_read_as_it_was_trained(tmp_path: Path) -> None:
    """Network, transforms and scale are the published ones, bit for bit."""
    version = read_newest(published(tmp_path), "tune that one")
    assert version.folder == tmp_path / "flowers" / "1"
    assert version.manifest.version == 1
    assert version.output_scale.tolist() == [2.5]
    state, wanted = version.trained.kan.state_dict(), TRAINED.kan.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    assert network_bytes(version.trained) == network_bytes(TRAINED)


def test_a_version_is_found_by_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also from inside the model's folder, where the path does not name the model."""
    published(tmp_path)
    monkeypatch.chdir(tmp_path / "flowers")
    assert read_newest(Path("1"), "tune that one").folder == tmp_path / "flowers" / "1"


def test_a_model_whose_folder_was_renamed_is_refused(tmp_path: Path) -> None:
    """Its next version would be one of another model."""
    folder = published(tmp_path)
    folder.parent.rename(tmp_path / "roses")
    with pytest.raises(VersionError, match='version 1 of "flowers"'):
        read_newest(tmp_path / "roses" / "1", "tune that one")


def test_an_older_version_is_refused_with_advice(tmp_path: Path) -> None:
    """The message names the newest version."""
    first, second = published(tmp_path), published(tmp_path)
    with pytest.raises(VersionError, match=f"version 2 is newer.*{second}"):
        read_newest(first, "tune that one")


def test_a_network_that_was_changed_is_refused(tmp_path: Path) -> None:
    """One byte of the last weight: it is still a network, but not the one that was verified."""
    path = published(tmp_path) / NETWORK
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(VersionError, match="sha256"):
        read_newest(path.parent, "tune that one")


def test_a_file_that_holds_no_network_is_refused(tmp_path: Path) -> None:
    """The message names the file."""
    folder = published(tmp_path, network=b"no network")
    with pytest.raises(VersionError, match=str(folder / NETWORK)):
        read_newest(folder, "tune that one")


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_divides_nothing_is_refused(tmp_path: Path, scale: float) -> None:
    """Errors are divided by it: only finite numbers above 0 are of use."""
    with pytest.raises(VersionError, match="wants 2 features"):
        read_newest(published(tmp_path, scale=scale), "tune that one")

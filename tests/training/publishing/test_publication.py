"""A run publishes its result once, although it may be stopped before or after the rename."""

from pathlib import Path

import pytest

from kan_api.v1.manifest_pb2 import Feature, ModelManifest
from training.errors import SystemFailed
from training.publishing.export import NETWORK
from training.publishing.publication import forget, publish_once
from training.publishing.publish import Files, Published, publish
from training.publishing.repository import published_versions


def manifest(recipe: str = "recipe") -> ModelManifest:
    """A minimal manifest."""
    return ModelManifest(name="flowers", recipe=recipe, features=[Feature(name="a")])


def always(network: bytes) -> Files:
    """The same files whatever the version."""
    return lambda _: {"model.onnx": b"graph", NETWORK: network}


def full_disk(_: int) -> dict[str, bytes]:
    """No file can be written."""
    raise OSError(28, "No space left on device")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


def publish_result(run: Path, *, resumed: bool, network: bytes = b"network", recipe: str = "recipe") -> Published:
    """What the end of a run does."""
    models = run.with_name("models")
    return publish_once(run, models, manifest(recipe), always(network), network, resumed=resumed)


def stop_while_publishing(run: Path) -> None:
    """The run writes its note and no version."""
    with pytest.raises(SystemFailed, match="No space left"):
        publish_once(run, run.with_name("models"), manifest(), full_disk, b"network", resumed=False)


def test_a_resumed_run_finds_the_version_that_it_published(run: Path) -> None:
    """It is returned with a note and not published again; Triton's file, which may be missing, is written."""
    first = publish_result(run, resumed=False)
    (first.folder.parent / "config.pbtxt").unlink()
    found = publish_result(run, resumed=True)
    assert (found.folder, found.manifest) == (first.folder, first.manifest)
    assert found.notes == ("version 1 was published before the run was stopped; it is not published again",)
    assert published_versions(first.folder.parent) == [1]
    assert (first.folder.parent / "config.pbtxt").exists()


def test_a_new_run_publishes_whatever_an_older_note_says(run: Path) -> None:
    """A run that was not resumed has published nothing, also where it makes the same network."""
    publish_result(run, resumed=False)
    assert publish_result(run, resumed=False).manifest.version == 2


def test_a_version_from_before_the_run_published_is_not_its_own(run: Path) -> None:
    """The same recipe gave the same network before; stopped without a version, the resumed run publishes one."""
    publish(run.with_name("models"), manifest(), always(b"network"))
    stop_while_publishing(run)
    assert publish_result(run, resumed=True).manifest.version == 2


@pytest.mark.parametrize(("recipe", "network"), [("another", b"network"), ("recipe", b"another")])
def test_a_version_of_another_run_is_not_taken_for_the_own(run: Path, recipe: str, network: bytes) -> None:
    """Of what others published meanwhile, only a version with the same recipe and the same network counts."""
    stop_while_publishing(run)
    publish(run.with_name("models"), manifest(recipe), always(network))
    assert publish_result(run, resumed=True).manifest.version == 2


def test_another_network_than_the_noted_one_is_published(run: Path) -> None:
    """A run that goes on differently publishes what it made, not what it published before."""
    publish_result(run, resumed=False)
    published = publish_result(run, resumed=True, network=b"another")
    assert published.manifest.version == 2
    assert (published.folder / NETWORK).read_bytes() == b"another"


@pytest.mark.parametrize(
    "note", [b"", b"{", b"null", b"[]", b"{}", b'{"newest_version": "many", "network_sha256": ""}', None]
)
def test_a_note_that_says_nothing_does_not_stop_the_run(run: Path, note: bytes | None) -> None:
    """Damaged or missing: the run publishes."""
    publish_result(run, resumed=False)
    if note is None:
        forget(run)
    else:
        (run / "publishing.json").write_bytes(note)
    assert publish_result(run, resumed=True).manifest.version == 2


def test_nothing_is_left_of_a_note_when_the_run_has_ended(run: Path) -> None:
    """Also if it is forgotten twice, by a run that is stopped between."""
    publish_result(run, resumed=False)
    forget(run)
    forget(run)
    assert list(run.iterdir()) == []

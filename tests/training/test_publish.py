"""Versions appear whole, in order, and never over another."""

import hashlib
import threading
from pathlib import Path

import pytest
from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, Feature, ModelManifest
from training.publish import PublishError, publish, published_versions


def manifest(*features: str) -> ModelManifest:
    """The least a publisher needs."""
    return ModelManifest(name="flowers", features=[Feature(name=name) for name in features or ("a", "b")])


def test_versions_count_up_and_hold_what_was_given(tmp_path: Path) -> None:
    """Version, size and sha256 in the manifest are those of the files on disk."""
    first, second = (publish(tmp_path, manifest(), {"model.onnx": content}) for content in (b"one", b"two"))
    assert [first.folder, second.folder] == [tmp_path / "flowers" / "1", tmp_path / "flowers" / "2"]
    read = json_format.Parse((second.folder / "manifest.json").read_bytes(), ModelManifest())
    assert read == second.manifest
    assert (read.version, read.files[0].name, read.files[0].size_bytes) == (2, "model.onnx", 3)
    assert read.files[0].sha256 == hashlib.sha256((second.folder / "model.onnx").read_bytes()).hexdigest()
    assert sorted(path.name for path in (tmp_path / "flowers").iterdir()) == ["1", "2"]


def test_publishers_at_once_each_get_a_number(tmp_path: Path) -> None:
    """Eight at the same moment: eight versions, each whole, none lost."""
    barrier = threading.Barrier(8)
    done = []

    def work(number: int) -> None:
        barrier.wait()
        done.append((publish(tmp_path, manifest(), {"model.onnx": b"%d" % number}), number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert published_versions(tmp_path / "flowers") == list(range(1, 9))
    for published, number in done:
        assert (published.folder / "model.onnx").read_bytes() == b"%d" % number
        assert published.manifest.version == int(published.folder.name)


def test_other_inputs_need_another_name(tmp_path: Path) -> None:
    """The message names the first input that differs; nothing is written."""
    publish(tmp_path, manifest("a", "b"), {"model.onnx": b""})
    with pytest.raises(PublishError, match='input 2 is "b" there and "c" here'):
        publish(tmp_path, manifest("a", "c"), {"model.onnx": b""})
    with pytest.raises(PublishError, match='input 3 is nothing there and "c" here'):
        publish(tmp_path, manifest("a", "b", "c"), {"model.onnx": b""})
    assert sorted(path.name for path in (tmp_path / "flowers").iterdir()) == ["1"]


def test_another_task_or_other_classes_need_another_name(tmp_path: Path) -> None:
    """Who reads probabilities by position must not get others under the old name."""

    def classifier(*classes: str) -> ModelManifest:
        return ModelManifest(name="flowers", task=TASK_CLASSIFICATION, classes=classes, features=[Feature(name="a")])

    publish(tmp_path, classifier("x", "y"), {"model.onnx": b""})
    with pytest.raises(PublishError, match='classes "x", "y" there, classes "x", "z" here'):
        publish(tmp_path, classifier("x", "z"), {"model.onnx": b""})
    with pytest.raises(PublishError, match='classes "x", "y" there, a number here'):
        publish(tmp_path, manifest("a"), {"model.onnx": b""})
    assert publish(tmp_path, classifier("x", "y"), {"model.onnx": b""}).manifest.version == 2


def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    """A file name that cannot be written: an error, and the repository as it was."""
    with pytest.raises(PublishError, match="cannot publish"):
        publish(tmp_path, manifest(), {"model.onnx": b"x", "no/such/folder.onnx": b""})
    assert list((tmp_path / "flowers").iterdir()) == []


def test_a_repository_that_is_a_file_is_said_to_be_one(tmp_path: Path) -> None:
    """No traceback for a wrong --models."""
    (tmp_path / "models").write_text("")
    with pytest.raises(PublishError, match="cannot publish"):
        publish(tmp_path / "models", manifest(), {"model.onnx": b""})


@pytest.mark.parametrize("torn", [b"{", b"\xff\xfe"])
def test_a_broken_newest_version_binds_nobody(tmp_path: Path, torn: bytes) -> None:
    """Its number is passed over, its torn manifest ignored."""
    (tmp_path / "flowers" / "7").mkdir(parents=True)
    (tmp_path / "flowers" / "7" / "manifest.json").write_bytes(torn)
    assert publish(tmp_path, manifest(), {"model.onnx": b""}).manifest.version == 8

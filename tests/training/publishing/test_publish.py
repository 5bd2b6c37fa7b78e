"""Versions are published whole, in order, and never over another."""

import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from kan_api.limits import DEFAULT_MAX_MODEL_BYTES
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Feature, ModelManifest, TensorSpec
from training.publishing.publish import (
    Files,
    PublishError,
    check_successor,
    configure_triton,
    publish,
    published_versions,
    read_manifest,
)
from training.publishing.triton import config_text


def always(files: Mapping[str, bytes]) -> Files:
    """The same files whatever the version."""
    return lambda _: files


def manifest(*features: str, output: str = "prediction") -> ModelManifest:
    """A minimal manifest."""
    names = features or ("a", "b")
    return ModelManifest(
        name="flowers",
        features=[Feature(name=name) for name in names],
        inputs=[TensorSpec(name="features", datatype="FP32", shape=[-1, len(names)])],
        outputs=[TensorSpec(name=output, datatype="FP32", shape=[-1, 1])],
    )


def test_versions_count_up_and_hold_what_was_given(tmp_path: Path) -> None:
    """Version, size and sha256 in the manifest are those of the files on disk."""
    first, second = (publish(tmp_path, manifest(), always({"model.onnx": content})) for content in (b"one", b"two"))
    assert [first.folder, second.folder] == [tmp_path / "flowers" / "1", tmp_path / "flowers" / "2"]
    read = json_format.Parse((second.folder / "manifest.json").read_bytes(), ModelManifest())
    assert read == second.manifest
    assert (read.version, read.files[0].name, read.files[0].size_bytes) == (2, "model.onnx", 3)
    assert read.files[0].sha256 == hashlib.sha256((second.folder / "model.onnx").read_bytes()).hexdigest()
    assert sorted(path.name for path in (tmp_path / "flowers").iterdir()) == ["1", "2", "config.pbtxt"]


def test_a_manifest_holds_every_field_also_those_of_value_zero(tmp_path: Path) -> None:
    """A reader without protobuf finds each field of each message; `imputed` only where NaN is allowed."""
    given = manifest("from zero")
    given.features[0].high, given.network.degree, given.lowering.opset = 5, 3, 17
    given.lowering.layers.add(strategy="segments")
    published = publish(tmp_path, given, always({"model.onnx": b"one"}))
    text = (published.folder / "manifest.json").read_text()
    written = json.loads(text)
    _check_complete(written, published.manifest)
    (feature,) = written["features"]
    assert (feature["low"], feature["high"], feature["constant"], feature["category"]) == (0, 5, False, "")
    assert "imputed" not in feature
    assert (written["task"], written["classes"], written["continued_from"]) == ("TASK_UNSPECIFIED", [], "0")
    assert json_format.Parse(text, ModelManifest()) == published.manifest


def test_a_manifest_without_its_zeros_is_read_as_one_with_them(tmp_path: Path) -> None:
    """As kan-train wrote them before: nothing that was published becomes unreadable."""
    folder = publish(tmp_path, manifest(), always({"model.onnx": b"one"})).folder
    whole = read_manifest(folder)
    assert whole is not None
    (folder / "manifest.json").write_text(json_format.MessageToJson(whole, preserving_proto_field_name=True))
    assert '"low"' not in (folder / "manifest.json").read_text()
    assert read_manifest(folder) == whole


def test_publishers_at_once_each_get_a_number(tmp_path: Path) -> None:
    """Eight at the same moment: eight versions, each whole, none lost; Triton's file is the newest one's."""
    barrier = threading.Barrier(8)
    done = []

    def work(number: int) -> None:
        barrier.wait()
        done.append((publish(tmp_path, manifest(output=f"y{number}"), always({"model.onnx": b"%d" % number})), number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert published_versions(tmp_path / "flowers") == list(range(1, 9))
    for published, number in done:
        assert (published.folder / "model.onnx").read_bytes() == b"%d" % number
        assert published.manifest.version == int(published.folder.name)
    left = sorted(path.name for path in (tmp_path / "flowers").iterdir() if not path.name.isdecimal())
    assert left == ["config.pbtxt"]
    newest = next(published.manifest for published, _ in done if published.manifest.version == 8)
    assert (tmp_path / "flowers" / "config.pbtxt").read_text() == config_text(newest)


def test_other_inputs_need_another_name(tmp_path: Path) -> None:
    """The message names the first input that differs; nothing is written."""
    publish(tmp_path, manifest("a", "b"), always({"model.onnx": b""}))
    with pytest.raises(PublishError, match='input 2 is "b" there and "c" here'):
        publish(tmp_path, manifest("a", "c"), always({"model.onnx": b""}))
    with pytest.raises(PublishError, match='input 3 is nothing there and "c" here'):
        publish(tmp_path, manifest("a", "b", "c"), always({"model.onnx": b""}))
    assert sorted(path.name for path in (tmp_path / "flowers").iterdir()) == ["1", "config.pbtxt"]


def test_another_task_or_other_classes_need_another_name(tmp_path: Path) -> None:
    """Another task or other classes are refused, because clients read probabilities by position."""

    def classifier(*classes: str) -> ModelManifest:
        return ModelManifest(name="flowers", task=TASK_CLASSIFICATION, classes=classes, features=[Feature(name="a")])

    number = manifest("a")
    number.task = TASK_REGRESSION
    publish(tmp_path, classifier("x", "y"), always({"model.onnx": b""}))
    with pytest.raises(PublishError, match='class 2 is "y" there and "z" here'):
        publish(tmp_path, classifier("x", "z"), always({"model.onnx": b""}))
    with pytest.raises(PublishError, match="classes there and numbers here"):
        publish(tmp_path, number, always({"model.onnx": b""}))
    assert publish(tmp_path, classifier("x", "y"), always({"model.onnx": b""})).manifest.version == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ModelManifest(recipe="#" * 1_048_577), "recipe has 1048577 characters, at most 1048576 are allowed"),
        (ModelManifest(target="t" * 5000), "target has 5000 characters, at most 4096 are allowed"),
        (ModelManifest(classes=[""] * 70_000), "the classes are 70000, at most 65536 are allowed"),
        (
            ModelManifest(features=[Feature(name=f"{number:0200}") for number in range(40_000)]),
            "manifest.json has [0-9]+ bytes, at most 8388608 are allowed",
        ),
    ],
    ids=["recipe", "target", "classes", "bytes"],
)
def test_what_kan_serve_would_refuse_is_not_published(tmp_path: Path, change: ModelManifest, reason: str) -> None:
    """A manifest that kan-serve would refuse is refused before the fit and at publication, with the reason."""
    large = manifest()
    large.MergeFrom(change)
    with pytest.raises(PublishError, match=f"kan-serve would refuse it: {reason}; give it fewer"):
        check_successor(tmp_path, large)
    with pytest.raises(PublishError, match=reason):
        publish(tmp_path, large, always({"model.onnx": b""}))
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_needs_a_setting_says_so(tmp_path: Path) -> None:
    """One larger than kan-serve takes by default is published, with a note of what to start kan-serve with."""
    published = publish(tmp_path, manifest(), always({"model.onnx": bytes(DEFAULT_MAX_MODEL_BYTES + 1)}))
    assert published.notes == (
        "model.onnx has 134217729 bytes: start kan-serve with --max-model-bytes 134217729 or more",
    )


def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    """A file name that cannot be written: an error, and the repository as it was."""
    with pytest.raises(PublishError, match="cannot publish"):
        publish(tmp_path, manifest(), always({"model.onnx": b"x", "no/such/folder.onnx": b""}))
    assert list((tmp_path / "flowers").iterdir()) == []


def test_a_repository_that_is_a_file_is_said_to_be_one(tmp_path: Path) -> None:
    """No traceback for a wrong --models."""
    (tmp_path / "models").write_text("")
    with pytest.raises(PublishError, match="cannot publish"):
        publish(tmp_path / "models", manifest(), always({"model.onnx": b""}))


@pytest.mark.parametrize("torn", [b"{", b"\xff\xfe"])
def test_a_broken_newest_version_binds_nobody(tmp_path: Path, torn: bytes) -> None:
    """A broken newest version is ignored, except that its number is taken."""
    (tmp_path / "flowers" / "7").mkdir(parents=True)
    (tmp_path / "flowers" / "7" / "manifest.json").write_bytes(torn)
    assert publish(tmp_path, manifest(), always({"model.onnx": b""})).manifest.version == 8


def test_a_folder_that_kan_serve_would_not_look_at_counts_for_nothing(tmp_path: Path) -> None:
    """The next version is the one after the newest that is served, whatever other folders are called."""
    for name in ("2", "007", "٣", "4611686018427387904", "9" * 30):
        (tmp_path / "flowers" / name).mkdir(parents=True)
    assert publish(tmp_path, manifest(), always({"model.onnx": b""})).manifest.version == 3


def test_after_the_largest_version_nothing_is_published(tmp_path: Path) -> None:
    """The message says so before the fit, and names the folder; at the end of a fit it is the same."""
    last = tmp_path / "flowers" / "999999999999999999"
    last.mkdir(parents=True)
    with pytest.raises(PublishError, match=f"999999999999999999 is the largest; remove the folder {last}"):
        check_successor(tmp_path, manifest())
    with pytest.raises(PublishError, match="is the largest"):
        publish(tmp_path, manifest(), always({"model.onnx": b""}))
    assert list(last.parent.iterdir()) == [last]


def test_tritons_file_follows_the_newest_version(tmp_path: Path) -> None:
    """Written beside the versions; where a version's tensors are others, and nobody changed it, it is written anew."""
    config = tmp_path / "flowers" / "config.pbtxt"
    publish(tmp_path, manifest(), always({"model.onnx": b""}))
    assert config.read_text() == config_text(manifest())
    publish(tmp_path, manifest(output="mean"), always({"model.onnx": b""}))
    assert config.read_text() == config_text(manifest(output="mean"))
    config.unlink()
    publish(tmp_path, manifest(output="mean"), always({"model.onnx": b""}))
    assert config.read_text() == config_text(manifest(output="mean"))
    assert sorted(path.name for path in config.parent.iterdir()) == ["1", "2", "3", "config.pbtxt"]


def test_a_publisher_that_comes_late_does_not_bring_an_old_file_back(tmp_path: Path) -> None:
    """If version 2 was published before version 1's file for Triton is written, the file is version 2's."""
    first = publish(tmp_path, manifest(), always({"model.onnx": b""}))
    publish(tmp_path, manifest(output="mean"), always({"model.onnx": b""}))
    configure_triton(tmp_path / "flowers", first.manifest)
    assert (tmp_path / "flowers" / "config.pbtxt").read_text() == config_text(manifest(output="mean"))


def test_what_a_person_put_into_tritons_file_is_not_lost(tmp_path: Path) -> None:
    """A file that a user changed stays if its tensors are the model's; else it is kept under another name."""
    config = tmp_path / "flowers" / "config.pbtxt"
    publish(tmp_path, manifest(), always({"model.onnx": b""}))
    edited = config.read_text() + "instance_group [ { count: 4 kind: KIND_GPU } ]\n"
    config.write_text(edited)
    publish(tmp_path, manifest(), always({"model.onnx": b""}))
    assert config.read_text() == edited
    publish(tmp_path, manifest(output="mean"), always({"model.onnx": b""}))
    assert config.read_text() == config_text(manifest(output="mean"))
    assert (config.parent / "config.pbtxt.before-3").read_text() == edited
    assert published_versions(config.parent) == [1, 2, 3]


def test_a_file_for_triton_that_cannot_be_written_leaves_the_version(tmp_path: Path) -> None:
    """A note says so, and that it is published; the caller knows the version."""
    (tmp_path / "flowers" / "config.pbtxt").mkdir(parents=True)
    published = publish(tmp_path, manifest(), always({"model.onnx": b"one"}))
    assert published.manifest.version == 1
    (note,) = published.notes
    assert note.startswith("warning   version 1 is published and can be served; config.pbtxt")
    assert (tmp_path / "flowers" / "1" / "model.onnx").read_bytes() == b"one"


def _check_complete(written: dict[str, Any], message: Message) -> None:
    """Every field of the message, and of those in it, that is not optional stands in the JSON object."""
    for field in message.DESCRIPTOR.fields:
        assert field.has_presence or field.name in written, f"{message.DESCRIPTOR.name}.{field.name}"
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        below = getattr(message, field.name)
        if not field.has_presence:
            for entry, each in zip(written[field.name], below, strict=True):
                _check_complete(entry, each)
        elif message.HasField(field.name):
            _check_complete(written[field.name], below)

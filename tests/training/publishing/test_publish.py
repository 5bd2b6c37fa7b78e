"""Versions are published whole, in order, and never over another."""

import hashlib
import json
import os
import shutil
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from kan_api.limits import DEFAULT_MAX_MODEL_BYTES
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Feature, ModelManifest, TensorSpec
from kan_api.version_folder import MAX_VERSION
from training.publishing.publish import Files, PublishError, check_successor, publish
from training.publishing.repository import published_versions
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


def test_the_callers_manifest_stays_as_it_was(tmp_path: Path) -> None:
    """Version and files are the publication's: those that the given manifest lists are not the new version's."""
    given, before = manifest(), manifest()
    for each in (given, before):
        each.files.add(name="of another version")
    published = publish(tmp_path, given, always({"model.onnx": b"one"}))
    assert given == before
    assert [file.name for file in published.manifest.files] == ["model.onnx"]


def test_a_version_is_on_disk_before_it_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a version is whole or absent: files, then their names, then the rename are flushed to disk."""
    model_folder, flush = tmp_path / "flowers", os.fsync
    flushed: list[tuple[str, int, bool]] = []

    def record(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        name = "the version's folder" if path.name.startswith(".publishing-") else path.name
        size = path.stat().st_size if path.is_file() else 0
        flushed.append((name, size, (model_folder / "1").exists()))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    folder = publish(tmp_path, manifest(), always({"model.onnx": b"one", "network": b"three"})).folder
    assert flushed[:5] == [
        ("model.onnx", 3, False),
        ("network", 5, False),
        ("manifest.json", (folder / "manifest.json").stat().st_size, False),
        ("the version's folder", 0, False),
        ("flowers", 0, True),
    ]


def test_a_server_of_another_user_may_read_a_version(tmp_path: Path) -> None:
    """Its folder is as open as any other, not the publisher's alone as temporary folders are."""
    folder = publish(tmp_path, manifest(), always({"model.onnx": b""})).folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


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


def test_a_manifest_of_a_newer_library_is_read(tmp_path: Path) -> None:
    """A field that this library does not know is skipped, and the version still says which inputs may follow."""
    path = publish(tmp_path, manifest(), always({"model.onnx": b"one"})).folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "from_tomorrow": {"a": 1}}))
    with pytest.raises(PublishError, match="takes other inputs"):
        check_successor(tmp_path, manifest("c"))


def overtaken_at(version: int, models: Path) -> Files:
    """While the files of this version are made, another process publishes it."""

    def files(number: int) -> dict[str, bytes]:
        if number == version:
            publish(models, manifest(), always({"model.onnx": b"theirs"}))
        return {"model.onnx": b"ours"}

    return files


def test_a_version_that_must_follow_another_is_not_published_after_a_third(tmp_path: Path) -> None:
    """`after` holds at the rename: a version that appears while the files are written counts too."""
    publish(tmp_path, manifest(), always({"model.onnx": b"one"}))
    with pytest.raises(PublishError, match="version 2 was published"):
        publish(tmp_path, manifest(), overtaken_at(2, tmp_path), after=1)
    assert sorted(path.name for path in (tmp_path / "flowers").iterdir()) == ["1", "2", "config.pbtxt"]
    assert (tmp_path / "flowers" / "2" / "model.onnx").read_bytes() == b"theirs"


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
    with pytest.raises(PublishError, match='input 2 is "b"'):
        publish(tmp_path, manifest("a", "c"), always({"model.onnx": b""}))
    with pytest.raises(PublishError, match="input 3 is nothing"):
        publish(tmp_path, manifest("a", "b", "c"), always({"model.onnx": b""}))
    assert sorted(path.name for path in (tmp_path / "flowers").iterdir()) == ["1", "config.pbtxt"]


def test_another_task_or_other_classes_need_another_name(tmp_path: Path) -> None:
    """Another task or other classes are refused, because clients read probabilities by position."""

    def classifier(*classes: str) -> ModelManifest:
        return ModelManifest(name="flowers", task=TASK_CLASSIFICATION, classes=classes, features=[Feature(name="a")])

    number = manifest("a")
    number.task = TASK_REGRESSION
    publish(tmp_path, classifier("x", "y"), always({"model.onnx": b""}))
    with pytest.raises(PublishError, match='class 2 is "y"'):
        publish(tmp_path, classifier("x", "z"), always({"model.onnx": b""}))
    with pytest.raises(PublishError, match="classes there"):
        publish(tmp_path, number, always({"model.onnx": b""}))
    assert publish(tmp_path, classifier("x", "y"), always({"model.onnx": b""})).manifest.version == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (ModelManifest(recipe="#" * 1_048_577), "recipe has 1048577"),
        (ModelManifest(target="t" * 5000), "target has 5000"),
        (ModelManifest(classes=[""] * 70_000), "classes are 70000"),
        (
            ModelManifest(features=[Feature(name=f"{number:0200}") for number in range(40_000)]),
            "[0-9]+ bytes, at most 8388608",
        ),
    ],
    ids=["recipe", "target", "classes", "bytes"],
)
def test_what_kan_serve_would_refuse_is_not_published(tmp_path: Path, change: ModelManifest, reason: str) -> None:
    """A manifest that kan-serve would refuse is refused before the fit and at publication, with the reason."""
    large = manifest()
    large.MergeFrom(change)
    with pytest.raises(PublishError, match=f"kan-serve .*{reason}"):
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


def test_a_model_that_needs_no_setting_has_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly as large as kan-serve takes by default; its limit is for model.onnx, not for files beside it."""
    monkeypatch.setattr("training.publishing.publish.DEFAULT_MAX_MODEL_BYTES", 3)
    assert publish(tmp_path, manifest(), always({"model.onnx": b"one", "explain.onnx": b"three"})).notes == ()
    (note,) = publish(tmp_path, manifest(), always({"model.onnx": b"four"})).notes
    assert note.startswith("model.onnx has 4 bytes")


def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    """A file name that cannot be written: an error, and the repository as it was."""
    with pytest.raises(PublishError, match="cannot publish"):
        publish(tmp_path, manifest(), always({"model.onnx": b"x", "no/such/folder.onnx": b""}))
    assert list((tmp_path / "flowers").iterdir()) == []


def test_a_repository_that_is_a_file_is_said_to_be_one(tmp_path: Path) -> None:
    """No traceback for a wrong --models."""
    (tmp_path / "models").write_text("")
    with pytest.raises(PublishError, match="models is no folder"):
        check_successor(tmp_path / "models", manifest())
    with pytest.raises(PublishError, match="cannot publish"):
        publish(tmp_path / "models", manifest(), always({"model.onnx": b""}))


def test_a_rename_that_fails_is_told(tmp_path: Path) -> None:
    """If the number is not taken, the next one would not help: a link to nowhere stands in the folder's place."""
    (tmp_path / "flowers").mkdir()
    (tmp_path / "flowers" / "1").symlink_to("nowhere")
    with pytest.raises(PublishError, match="Not a directory"):
        publish(tmp_path, manifest(), always({"model.onnx": b""}))
    assert [path.name for path in (tmp_path / "flowers").iterdir()] == ["1"]


@pytest.mark.parametrize("torn", [b"{", b"\xff\xfe"])
def test_a_broken_newest_version_binds_nobody(tmp_path: Path, torn: bytes) -> None:
    """A broken newest version is ignored, except that its number is taken."""
    (tmp_path / "flowers" / "7").mkdir(parents=True)
    (tmp_path / "flowers" / "7" / "manifest.json").write_bytes(torn)
    assert publish(tmp_path, manifest(), always({"model.onnx": b""})).manifest.version == 8


def test_the_newest_version_binds_not_the_oldest(tmp_path: Path) -> None:
    """A broken first version does not free the next ones from what the second one requires."""
    first = publish(tmp_path, manifest("a"), always({"model.onnx": b""})).folder
    publish(tmp_path, manifest("a"), always({"model.onnx": b""}))
    (first / "manifest.json").write_bytes(b"{")
    with pytest.raises(PublishError, match="takes other inputs"):
        publish(tmp_path, manifest("c"), always({"model.onnx": b""}))


def test_a_file_named_as_a_version_is_none(tmp_path: Path) -> None:
    """It takes its own number, because nothing is overwritten, and no number before it."""
    (tmp_path / "flowers").mkdir()
    for name in ("1", "5"):
        (tmp_path / "flowers" / name).write_text("")
    assert publish(tmp_path, manifest(), always({"model.onnx": b""})).manifest.version == 2
    assert published_versions(tmp_path / "flowers") == [2]


def test_a_folder_that_kan_serve_would_not_look_at_counts_for_nothing(tmp_path: Path) -> None:
    """The next version is the one after the newest that is served, whatever other folders are called."""
    for name in ("2", "007", "٣", "4611686018427387904", "9" * 30):
        (tmp_path / "flowers" / name).mkdir(parents=True)
    assert publish(tmp_path, manifest(), always({"model.onnx": b""})).manifest.version == 3


def test_after_the_largest_version_nothing_is_published(tmp_path: Path) -> None:
    """The message says so before the fit, and names the folder; at the end of a fit it is the same."""
    last = tmp_path / "flowers" / "999999999999999999"
    last.mkdir(parents=True)
    with pytest.raises(PublishError, match=f"remove the folder {last}"):
        check_successor(tmp_path, manifest())
    with pytest.raises(PublishError, match="is the largest"):
        publish(tmp_path, manifest(), always({"model.onnx": b""}))
    assert list(last.parent.iterdir()) == [last]


def test_the_largest_version_is_published_once(tmp_path: Path) -> None:
    """Of two publishers at once, one gets the last number; the other is refused, not given a number without meaning."""
    (tmp_path / "flowers" / "999999999999999998").mkdir(parents=True)
    with pytest.raises(PublishError, match="1000000000000000000"):
        publish(tmp_path, manifest(), overtaken_at(MAX_VERSION, tmp_path))
    assert published_versions(tmp_path / "flowers") == [MAX_VERSION - 1, MAX_VERSION]
    assert (tmp_path / "flowers" / str(MAX_VERSION) / "model.onnx").read_bytes() == b"theirs"


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


@pytest.mark.parametrize(
    ("repository", "name", "message"),
    [
        (".", "models", "is a repository that holds models; wanted .*models/NAME, the folder of a model"),
        ("models/flowers", "flowers", "is the folder of a model, .*; wanted the repository that holds such .*models$"),
    ],
)
def test_a_folder_of_the_wrong_level_is_refused_and_nothing_is_written(
    tmp_path: Path, repository: str, name: str, message: str
) -> None:
    """A repository in the place of a model's folder, and a model's folder in the place of a repository."""
    publish(tmp_path / "models", manifest(), always({"model.onnx": b"one"}))
    before = sorted(tmp_path.rglob("*"))
    given = manifest()
    given.name = name
    with pytest.raises(PublishError, match=message):
        check_successor(tmp_path / repository, given)
    with pytest.raises(PublishError, match=message):
        publish(tmp_path / repository, given, always({"model.onnx": b"two"}))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_with_models_and_versions_stays_both(tmp_path: Path) -> None:
    """An older kan-train wrote a version into the repository itself: its models can be published all the same."""
    publish(tmp_path / "models", manifest(), always({"model.onnx": b"one"}))
    shutil.copytree(tmp_path / "models" / "flowers" / "1", tmp_path / "models" / "1")
    assert publish(tmp_path / "models", manifest(), always({"model.onnx": b"two"})).folder.name == "2"

"""The repository on a real disk, whole and broken."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import json_format

from kan_api.v1.manifest_pb2 import ModelManifest, TensorSpec
from service.errors import ModelRefused, StartupError
from service.repository.disk import fingerprint, list_models, read_version
from service.repository.regular_file import read_regular_file
from tests.kit.models.repository import WriteModel


def _refused(models: Path, kind: str, match: str) -> None:
    """affine/1 is refused for this reason."""
    with pytest.raises(ModelRefused, match=match) as caught:
        read_version(models, "affine", 1)
    assert caught.value.kind == kind


def _told_of_none(name: str, why: str) -> None:
    raise AssertionError((name, why))


def test_versions_are_listed_by_number(models: Path, write_model: WriteModel) -> None:
    """Names in order, versions as numbers: 10 comes after 9."""
    for version in (10, 9, 1):
        write_model("affine", version)
    write_model("classifier", 2)
    assert list_models(models, _told_of_none) == [("affine", 1), ("affine", 9), ("affine", 10), ("classifier", 2)]


@pytest.mark.parametrize("name", ["0", "01", "-1", "1.5", ".tmp-3", "3.tmp", "latest", "٣", "9" * 30])
def test_what_is_no_version_is_passed_over(models: Path, write_model: WriteModel, name: str) -> None:
    """Only positive integers in ASCII are versions; a publisher's temporary folders are not."""
    write_model("affine", 1)
    (models / "affine" / name).mkdir()
    assert list_models(models, _told_of_none) == [("affine", 1)]


@pytest.mark.parametrize("name", [b"bad\xffname", b"two\nlines", b"a space", b"-dash"])
def test_a_name_that_no_model_can_have_is_passed_over(models: Path, write_model: WriteModel, name: bytes) -> None:
    """It would break labels, log lines or messages. It is logged with the reason, and other models are served."""
    write_model("affine", 1)
    os.makedirs(os.path.join(os.fsencode(models), name, b"1"))
    told: list[tuple[str, str]] = []
    assert list_models(models, lambda *each: told.append(each)) == [("affine", 1)]
    assert [each for each, _ in told] == [os.fsdecode(name)]


def test_files_and_dot_folders_are_passed_over(models: Path, write_model: WriteModel) -> None:
    """config.pbtxt, stray files and hidden folders are no models and no versions."""
    write_model("affine", 1)
    write_model("affine", 1, name=".hidden")
    (models / "affine" / "2").write_text("a file")
    (models / "affine" / "config.pbtxt").write_text("")
    (models / "README").write_text("")
    (models / "empty").mkdir()
    assert list_models(models, _told_of_none) == [("affine", 1)]


def test_a_long_list_rests_after_every_twenty_folders(models: Path) -> None:
    """Hidden folders and strange names are work too. The list is sorted, in whatever order the folders come."""
    for number in range(250):
        (models / f"{'.' * (number % 2)}m{number}" / "1").mkdir(parents=True)
    rests: list[None] = []
    found = list_models(models, _told_of_none, lambda: rests.append(None))
    assert found == sorted((f"m{number}", 1) for number in range(0, 250, 2))
    assert len(rests) == 12


def test_an_empty_repository_is_fine_and_an_absent_one_is_not(models: Path) -> None:
    """Nothing published yet is no error; a wrong path is, with the path."""
    assert list_models(models, _told_of_none) == []
    with pytest.raises(StartupError, match="absent"):
        list_models(models / "absent", _told_of_none)
    (models / "file").write_text("")
    with pytest.raises(StartupError, match="file"):
        list_models(models / "file", _told_of_none)


def test_the_bytes_are_those_of_the_file(models: Path, write_model: WriteModel) -> None:
    """A whole version gives its manifest and exactly the bytes that were published."""
    folder = write_model("affine", 7)
    artefact = read_version(models, "affine", 7)
    assert artefact.model_bytes == (folder / "model.onnx").read_bytes()
    assert (artefact.manifest.name, artefact.manifest.version) == ("affine", 7)


def test_a_manifest_without_its_zeros_is_read_as_one_with_them(models: Path, write_model: WriteModel) -> None:
    """kan-train once wrote manifests without fields whose value is zero. Such versions are still served."""
    file = write_model("affine") / "manifest.json"
    whole = read_version(models, "affine", 1).manifest
    file.write_text(json_format.MessageToJson(whole, preserving_proto_field_name=True))
    assert '"constant"' not in file.read_text()
    assert read_version(models, "affine", 1).manifest == whole


def test_a_half_copied_model_is_refused_by_its_size(models: Path, write_model: WriteModel) -> None:
    """A cut file names both sizes."""
    file = write_model("affine") / "model.onnx"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    _refused(models, "checksum", f"has {len(content) // 2} bytes, the manifest says {len(content)}")


def test_a_changed_byte_is_refused(models: Path, write_model: WriteModel) -> None:
    """One flipped bit in a file of the right size is found."""
    file = write_model("affine") / "model.onnx"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    _refused(models, "checksum", "sha256")


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_an_absent_file_is_refused(models: Path, write_model: WriteModel, name: str) -> None:
    """Each file is needed, and named when it is absent."""
    (write_model("affine") / name).unlink()
    _refused(models, "missing", name)


def _pipe(file: Path) -> None:
    os.mkfifo(file)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (_pipe, "no file: it is a pipe"),
        (Path.mkdir, "no file: it is a folder"),
        (lambda file: file.symlink_to("/dev/zero"), "no file: it is a device"),
        (lambda file: file.symlink_to(file.name), "cannot be read: Too many levels of symbolic links"),
        (lambda file: file.symlink_to("nowhere"), "is absent"),
    ],
    ids=["pipe", "folder", "device", "loop", "dangling"],
)
def test_what_is_no_file_is_refused(
    models: Path, write_model: WriteModel, put: Callable[[Path], object], reason: str, name: str
) -> None:
    """Something that is no regular file is refused without being opened: it would hang the server, or never end."""
    file = write_model("affine") / name
    file.unlink()
    put(file)
    _refused(models, "missing", f"{name} .*{reason}")


def test_a_link_to_a_file_is_read(models: Path, write_model: WriteModel) -> None:
    """Kubernetes' ConfigMaps and git-annex keep files behind links."""
    folder = write_model("affine")
    for name in ("model.onnx", "manifest.json"):
        (folder / name).rename(models / name)
        (folder / name).symlink_to(models / name)
    assert read_version(models, "affine", 1).manifest.name == "affine"


def test_a_file_without_end_is_refused_unread(models: Path, write_model: WriteModel) -> None:
    """8 TB, sparse: by its size, whether the manifest says it or not."""
    size = 8 * 10**12
    folder = write_model("affine")
    os.truncate(folder / "model.onnx", size)
    _refused(models, "checksum", f"model.onnx has {size} bytes, the manifest says [0-9]+$")
    _change_manifest(folder, lambda manifest: setattr(manifest.files[0], "size_bytes", size))
    _refused(models, "size", f"model.onnx has {size} bytes, --max-model-bytes leaves room for 134217728")
    os.truncate(folder / "manifest.json", size)
    _refused(models, "size", f"manifest.json has {size} bytes, at most 8388608 are allowed")


def test_an_operator_may_allow_larger_models(models: Path, write_model: WriteModel) -> None:
    """The bound is a setting, and exact."""
    size = (write_model("affine") / "model.onnx").stat().st_size
    assert read_version(models, "affine", 1, max_model_bytes=size).model_bytes
    with pytest.raises(ModelRefused, match=f"room for {size - 1}"):
        read_version(models, "affine", 1, max_model_bytes=size - 1)


@pytest.mark.parametrize(("more", "change"), [(b"x", "more"), (b"", "less")])
def test_a_file_that_changes_its_size_meanwhile_is_refused(tmp_path: Path, more: bytes, change: str) -> None:
    """One that is still being written, or cut: no more is read than its size was."""
    file = tmp_path / "model.onnx"
    file.write_bytes(b"123")

    def write(_: int) -> None:
        file.write_bytes(b"123" + more if more else b"12")

    sizes = iter([lambda _: None, write])
    with pytest.raises(ModelRefused, match="being written"):
        read_regular_file(file, lambda size: next(sizes)(size))


def test_a_pipe_that_takes_the_files_place_does_not_hang(tmp_path: Path) -> None:
    """A file may be replaced between the check of its kind and its opening."""
    file = tmp_path / "model.onnx"
    file.write_bytes(b"123")

    def replace(_: int) -> None:
        file.unlink()
        os.mkfifo(file)

    with pytest.raises(ModelRefused, match="pipe"):
        read_regular_file(file, replace)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda manifest: manifest.outputs[0].shape.__setitem__(1, 2**62), f"columns of the outputs are {2**62}, at"),
        (lambda manifest: manifest.outputs[0].shape.__setitem__(1, 2**40), f"columns of the outputs are {2**40}, at"),
        (
            lambda manifest: manifest.inputs[0].shape.__setitem__(1, 2**40),
            f"columns of the inputs are {2**40}, at most",
        ),
        (
            lambda manifest: manifest.outputs.extend([TensorSpec(shape=[-1, 2**15]), TensorSpec(shape=[-1, 2**15])]),
            "columns of the outputs are 65537, at most 65536",
        ),
        (
            lambda manifest: [column.categories.extend(["w"] * 16_385) for column in manifest.columns],
            "words of the columns are 65540, at most 65536",
        ),
        (
            lambda manifest: [column.statistics.words.extend(["w"] * 16_385) for column in manifest.columns],
            "words of the columns are 65540, at most 65536",
        ),
        (
            lambda manifest: [column.statistics.values.extend([1.0] * 16_385) for column in manifest.columns],
            "numbers of the columns' words are 65540, at most 65536",
        ),
        (lambda manifest: manifest.classes.extend([""] * 65_537), "classes has 65537 entries, at most 65536"),
        (lambda manifest: setattr(manifest, "recipe", "#" * 1_048_577), "recipe has 1048577 characters, at most 1048"),
        (lambda manifest: setattr(manifest, "formula", "x" * 2_000_000), "formula has 2000000 characters, at most 10"),
        (lambda manifest: setattr(manifest, "name", "n" * 5000), "name has 5000 characters, at most 4096"),
        (lambda manifest: setattr(manifest, "name", "n" * 2_000_000), "name has 2000000 characters, at most 1048576"),
        (lambda manifest: manifest.classes.append("c" * 5000), "classes has 5000 characters, at most 4096"),
        (
            lambda manifest: manifest.classes.extend(["c", "c" * 2_000_000]),
            "classes has 2000000 characters, at most 10485",
        ),
        (lambda manifest: setattr(manifest.features[1], "name", "n" * 5000), "features.name has 5000 characters"),
        (lambda manifest: setattr(manifest.outputs[0], "name", "n" * 5000), "outputs.name has 5000 characters"),
        (lambda manifest: manifest.metrics.update({"m" * 5000: 1.0}), "metrics has 5000 characters, at most 4096"),
    ],
)
def test_a_manifest_with_a_field_that_is_too_large_is_refused_by_name(
    models: Path, write_model: WriteModel, change: Callable[[ModelManifest], object], reason: str
) -> None:
    """Before model.onnx, which is absent here, is read. The reason is one short line."""
    (write_model("affine", change=change) / "model.onnx").unlink()
    _refused(models, "size", f"manifest.json is too large: (the )?{reason}")


def test_a_manifest_of_short_numbers_is_refused(models: Path, write_model: WriteModel) -> None:
    """Two bytes a number in JSON, eight in the answer of GetModel: its size there counts too."""
    file = write_model("affine") / "manifest.json"
    document = json.loads(file.read_text())
    document["features"] += [{"histogram": {"edges": [0] * 60_000}} for _ in range(19)]
    file.write_text(json.dumps(document, separators=(",", ":")))
    _refused(models, "size", "the manifest has [0-9]+ bytes in protobuf's encoding")


def test_a_manifest_of_many_features_is_read(models: Path, write_model: WriteModel) -> None:
    """6,000 features with histograms, as training writes them, are within the bounds."""

    def widen(manifest: ModelManifest) -> None:
        for number in range(6_000):
            feature = manifest.features.add(name=f"column {number}", column=f"column {number}", low=0.125, high=7.5)
            feature.histogram.edges.extend([edge / 7 for edge in range(21)])
            feature.histogram.counts.extend(range(100, 120))

    write_model("affine", change=widen)
    assert len(read_version(models, "affine", 1).manifest.features) == 6_004


@pytest.mark.parametrize("text", ["n" * 20_000, "two\nlines and\x00more", "é" * 5000])
def test_a_reason_is_one_short_line(text: str) -> None:
    """For any message, because log lines, listings and messages contain it."""
    reason = str(ModelRefused("graph", f"it has {text}, wanted less"))
    assert len(reason) <= 1000
    assert len(reason.splitlines()) == 1
    assert reason.startswith("it has ")
    assert reason.endswith(", wanted less")


def _change_manifest(folder: Path, change: Callable[[ModelManifest], object]) -> None:
    manifest = json_format.Parse((folder / "manifest.json").read_text(), ModelManifest())
    change(manifest)
    (folder / "manifest.json").write_text(json_format.MessageToJson(manifest, preserving_proto_field_name=True))


def test_a_missing_folder_is_refused(models: Path) -> None:
    """A version removed between listing and reading is refused, not a crash."""
    _refused(models, "missing", "manifest.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"version": "one"}',
        b'{"features": {"name": "x"}}',
        b"null",
        b"[" * 100_000,
        b'{"name": "affine", "name": "slow"}',
        b'{"version": ' + b"9" * 5000 + b"}",
        b'{"name": "\\ud800"}',
    ],
    ids=["empty", "cut", "list", "utf8", "type", "shape", "null", "deep", "twice", "digits", "surrogate"],
)
def test_a_manifest_that_is_none_is_refused(models: Path, write_model: WriteModel, content: bytes) -> None:
    """Whatever stands in manifest.json: a refusal, never another exception."""
    (write_model("affine") / "manifest.json").write_bytes(content)
    _refused(models, "manifest", r"manifest\.json")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"null", "holds null"),
        (b"[]", "holds a list"),
        (b'"affine"', "holds one value, 'affine'"),
        (b"{}", r"holds an empty object, \{\}"),
        (b'{"weights": [1], "layers": 2}', "holds no field of a manifest, only 'weights', 'layers'"),
    ],
)
def test_a_manifest_that_is_none_is_told_as_what_it_is(
    models: Path, write_model: WriteModel, content: bytes, found: str
) -> None:
    """The reason says what was found and what was wanted, not what a parser made of it."""
    (write_model("affine") / "manifest.json").write_bytes(content)
    _refused(models, "manifest", rf"manifest\.json {found}, wanted an object in JSON: a kan_api\.v1\.ModelManifest")


def test_fields_of_a_newer_library_are_passed_over(models: Path, write_model: WriteModel) -> None:
    """A manifest with a field that this version does not know still serves."""
    file = write_model("affine") / "manifest.json"
    file.write_text(file.read_text().replace("{", '{"a_field_of_tomorrow": 1, ', 1))
    assert read_version(models, "affine", 1).manifest.name == "affine"


def test_a_manifest_of_another_model_or_version_is_refused(models: Path, write_model: WriteModel) -> None:
    """A folder that was copied under another name or number is not served."""
    write_model("affine", 2).rename(models / "affine" / "1")
    _refused(models, "manifest", "version 2, its folder model 'affine' version 1")


def test_a_copy_is_refused_with_the_words_that_mend_it(models: Path, write_model: WriteModel) -> None:
    """`cp -r models/other models/affine`: the message names what to write, and with it the copy is served."""
    folder = write_model("affine", 1, name="other")
    shutil.copytree(folder, models / "affine" / "1")
    _refused(models, "manifest", 'to serve this copy, write "name": "affine" into its manifest.json')
    manifest = models / "affine" / "1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"other"', '"affine"', 1))
    assert read_version(models, "affine", 1).manifest.name == "affine"


def test_a_manifest_must_list_the_model_once(models: Path, write_model: WriteModel) -> None:
    """Without a checksum, or with two, nothing is verified: refused."""
    write_model("affine", change=lambda manifest: manifest.ClearField("files"))
    _refused(models, "manifest", "lists model.onnx 0 times")


def test_a_stamp_is_another_when_any_file_is(models: Path, write_model: WriteModel) -> None:
    """Contents, names and times of all files of a version count; a folder that is not there has a stamp too."""
    folder = write_model("affine")
    stamps = [fingerprint(models, "affine", 2), fingerprint(models, "affine", 1)]
    (folder / "weights.bin").write_bytes(b"1")
    stamps.append(fingerprint(models, "affine", 1))
    (folder / "weights.bin").write_bytes(b"12")
    stamps.append(fingerprint(models, "affine", 1))
    os.utime(folder / "model.onnx", ns=(1, 1))
    stamps.append(fingerprint(models, "affine", 1))
    assert len(set(stamps)) == len(stamps)
    assert fingerprint(models, "affine", 1) == stamps[-1]

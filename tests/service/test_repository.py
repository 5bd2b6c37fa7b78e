"""The repository on a real disk, whole and broken."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import json_format

from service.errors import StartupError
from service.repository import ModelRefused, list_models, read_version


def _refused(models: Path, kind: str, match: str) -> None:
    """affine/1 is refused for this reason."""
    with pytest.raises(ModelRefused, match=match) as caught:
        read_version(models, "affine", 1)
    assert caught.value.kind == kind


def test_versions_are_listed_by_number(models: Path, write_model: Callable[..., Path]) -> None:
    """Names in order, versions as numbers: 10 comes after 9."""
    for version in (10, 9, 1):
        write_model("affine", version)
    write_model("classifier", 2)
    assert list_models(models) == [("affine", 1), ("affine", 9), ("affine", 10), ("classifier", 2)]


@pytest.mark.parametrize("name", ["0", "01", "-1", "1.5", ".tmp-3", "3.tmp", "latest", "٣", "9" * 30])
def test_what_is_no_version_is_passed_over(models: Path, write_model: Callable[..., Path], name: str) -> None:
    """Only positive integers in ASCII are versions; a publisher's temporary folders are not."""
    write_model("affine", 1)
    (models / "affine" / name).mkdir()
    assert list_models(models) == [("affine", 1)]


@pytest.mark.parametrize("name", [b"bad\xffname", b"two\nlines", b"a space", b"-dash"])
def test_a_name_that_no_model_can_have_is_passed_over(
    models: Path, write_model: Callable[..., Path], name: bytes
) -> None:
    """It would break labels, log lines or messages: it is told with the reason, the other models are served."""
    write_model("affine", 1)
    os.makedirs(os.path.join(os.fsencode(models), name, b"1"))
    told: list[tuple[str, str]] = []
    assert list_models(models, lambda *each: told.append(each)) == [("affine", 1)]
    assert [each for each, _ in told] == [os.fsdecode(name)]


def test_files_and_dot_folders_are_passed_over(models: Path, write_model: Callable[..., Path]) -> None:
    """config.pbtxt, stray files and hidden folders are no models and no versions."""
    write_model("affine", 1)
    write_model("affine", 1, name=".hidden")
    (models / "affine" / "2").write_text("a file")
    (models / "affine" / "config.pbtxt").write_text("")
    (models / "README").write_text("")
    (models / "empty").mkdir()
    assert list_models(models) == [("affine", 1)]


def test_an_empty_repository_is_fine_and_an_absent_one_is_not(models: Path) -> None:
    """Nothing published yet is no error; a wrong path is, with the path."""
    assert list_models(models) == []
    with pytest.raises(StartupError, match="absent"):
        list_models(models / "absent")
    (models / "file").write_text("")
    with pytest.raises(StartupError, match="file"):
        list_models(models / "file")


def test_the_bytes_are_those_of_the_file(models: Path, write_model: Callable[..., Path]) -> None:
    """A whole version gives its manifest and exactly the bytes that were published."""
    folder = write_model("affine", 7)
    artefact = read_version(models, "affine", 7)
    assert artefact.model_bytes == (folder / "model.onnx").read_bytes()
    assert (artefact.manifest.name, artefact.manifest.version) == ("affine", 7)


def test_a_manifest_without_its_zeros_is_read_as_one_with_them(models: Path, write_model: Callable[..., Path]) -> None:
    """kan-train wrote manifests without fields whose value is zero before; what it published then is served."""
    file = write_model("affine") / "manifest.json"
    whole = read_version(models, "affine", 1).manifest
    file.write_text(json_format.MessageToJson(whole, preserving_proto_field_name=True))
    assert '"constant"' not in file.read_text()
    assert read_version(models, "affine", 1).manifest == whole


def test_a_half_copied_model_is_refused_by_its_size(models: Path, write_model: Callable[..., Path]) -> None:
    """A cut file names both sizes."""
    file = write_model("affine") / "model.onnx"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    _refused(models, "checksum", f"has {len(content) // 2} bytes, the manifest says {len(content)}")


def test_a_changed_byte_is_refused(models: Path, write_model: Callable[..., Path]) -> None:
    """One flipped bit in a file of the right size is found."""
    file = write_model("affine") / "model.onnx"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    _refused(models, "checksum", "sha256")


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_an_absent_file_is_refused(models: Path, write_model: Callable[..., Path], name: str) -> None:
    """Each file is needed, and named when it is absent."""
    (write_model("affine") / name).unlink()
    _refused(models, "missing", name)


def test_a_pipe_does_not_hang_the_server(models: Path, write_model: Callable[..., Path]) -> None:
    """Something that is no regular file is refused without being opened."""
    file = write_model("affine") / "model.onnx"
    file.unlink()
    os.mkfifo(file)
    _refused(models, "missing", "no file")


def test_a_missing_folder_is_refused(models: Path) -> None:
    """A version removed between listing and reading is refused, not a crash."""
    _refused(models, "missing", "manifest.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"version": "one"}', b'{"features": {"name": "x"}}', b"null", b"[" * 100_000],
    ids=["empty", "cut", "list", "not-utf8", "wrong-type", "wrong-shape", "null", "deep"],
)
def test_a_manifest_that_is_none_is_refused(models: Path, write_model: Callable[..., Path], content: bytes) -> None:
    """Whatever stands in manifest.json: a refusal, never another exception."""
    (write_model("affine") / "manifest.json").write_bytes(content)
    _refused(models, "manifest", r"manifest\.json")


def test_fields_of_a_newer_library_are_passed_over(models: Path, write_model: Callable[..., Path]) -> None:
    """A manifest with a field that this version does not know still serves."""
    file = write_model("affine") / "manifest.json"
    file.write_text(file.read_text().replace("{", '{"a_field_of_tomorrow": 1, ', 1))
    assert read_version(models, "affine", 1).manifest.name == "affine"


def test_a_manifest_of_another_model_or_version_is_refused(models: Path, write_model: Callable[..., Path]) -> None:
    """A folder copied under another name or number does not pass for what it is not."""
    write_model("affine", 2).rename(models / "affine" / "1")
    _refused(models, "manifest", "version 2, its folder model 'affine' version 1")


def test_a_manifest_must_list_the_model_once(models: Path, write_model: Callable[..., Path]) -> None:
    """Without a checksum, or with two, nothing is verified: refused."""
    write_model("affine", change=lambda manifest: manifest.ClearField("files"))
    _refused(models, "manifest", "lists model.onnx 0 times")

"""What a repository holds, as `kan-train list` tells it."""

import shutil
from pathlib import Path

import pytest

from tests.kit.models.repository import write_version
from training.errors import TrainingError
from training.versions import list_versions, roll_back, version_lines


def test_versions_are_listed_by_model_newest_first_with_their_states(tmp_path: Path) -> None:
    """Withdrawn and unreadable versions are among them; hidden folders and other files are not."""
    for version in (1, 2, 3, 4):
        write_version(tmp_path, "affine", version)
    write_version(tmp_path, "classifier", change=lambda manifest: manifest.metrics.update({"test_accuracy": 0.925}))
    roll_back(tmp_path, "affine")
    (tmp_path / "affine" / "1" / "manifest.json").write_text("{")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    found = list_versions(tmp_path)
    assert [(each.model, each.version, each.state) for each in found] == [
        ("affine", 4, "withdrawn"),
        ("affine", 3, "newest"),
        ("affine", 2, "older"),
        ("affine", 1, "unreadable"),
        ("classifier", 1, "newest"),
    ]
    assert [each.fault for each in found] == ["", "", "", "its manifest.json is absent or damaged", ""]
    assert (found[-1].task, found[-1].score) == ("classification", "accuracy 0.925")
    assert list_versions(tmp_path, "classifier") == found[-1:]


@pytest.mark.parametrize(
    ("folder", "name", "message"), [("none", None, "no model repository"), (".", "rose", "it holds no models")]
)
def test_what_is_absent_is_told(tmp_path: Path, folder: str, name: str | None, message: str) -> None:
    """A wrong folder or name is an error, an empty repository is not."""
    with pytest.raises(TrainingError, match=message):
        list_versions(tmp_path / folder, name)
    assert list_versions(tmp_path) == []


def test_versions_copied_by_hand_are_told_as_those_that_kan_serve_refuses(tmp_path: Path) -> None:
    """The state says so, and a line beneath the table what the manifest is of; a withdrawn copy stays "withdrawn".

    The version before them is the newest, because it answers.
    """
    first = write_version(tmp_path, "affine")
    for version in ("2", "3", ".withdrawn-4"):
        shutil.copytree(first, first.with_name(version))
    found = list_versions(tmp_path)
    assert [each.state for each in found] == ["withdrawn", "refused", "refused", "newest"]
    fault = 'its manifest.json is of version 1 of "affine"'
    assert [each.fault for each in found] == ["", fault, fault, ""]
    assert version_lines(found)[5:] == [f"{first.with_name(n)}: kan-serve refuses it: {fault}" for n in "32"]


def test_a_model_of_another_size_is_told_as_one_that_kan_serve_refuses(tmp_path: Path) -> None:
    """One that grew by a byte, and one that is gone; the version before them is the newest."""
    first, second, third = (write_version(tmp_path, "affine", version) for version in (1, 2, 3))
    size_bytes = (second / "model.onnx").stat().st_size
    with (second / "model.onnx").open("ab") as file:
        file.write(b"x")
    (third / "model.onnx").unlink()
    found = list_versions(tmp_path)
    assert [(each.folder, each.state, each.fault) for each in found] == [
        (str(third), "refused", "model.onnx cannot be read: No such file or directory"),
        (str(second), "refused", f"model.onnx has {size_bytes + 1} bytes, its manifest.json says {size_bytes}"),
        (str(first), "newest", ""),
    ]


def test_a_manifest_without_fields_is_told_as_that(tmp_path: Path) -> None:
    """Not as one of version 0 of a model without a name."""
    (write_version(tmp_path, "affine") / "manifest.json").write_text("{}")
    [listed] = list_versions(tmp_path)
    assert (listed.state, listed.fault.split(";")[0]) == ("refused", "its manifest.json names no model")

"""An operator who passes the wrong folder reads what lies in it, what belongs there and which folder was meant."""

from pathlib import Path

import pytest

from service.repository.layout import explain_no_versions

_WANTED = "wanted a folder of model folders, each with version folders 1, 2, …"


def _write(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            "models/digits",
            f"'models/digits' holds '1', '2', 'config.pbtxt', {_WANTED}; "
            "'models/digits' looks like one model's folder: pass --models models",
        ),
        (
            "models/digits/1",
            f"'models/digits/1' holds 'manifest.json', 'model.onnx', {_WANTED}; "
            "'models/digits/1' looks like one version's folder: pass --models models",
        ),
        ("named", f"'named' holds 'houses/v1', {_WANTED}"),
        ("bare", f"'bare' holds 'a', 'b', 'c' and 1 more, {_WANTED}"),
        ("empty", f"'empty' holds nothing, {_WANTED}"),
    ],
)
def test_the_sentence_names_what_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, sentence: str
) -> None:
    """A folder one or two levels too low names the right one; hidden names are not told."""
    _write(tmp_path / "models/digits", "1/manifest.json", "1/model.onnx", "2/manifest.json", "config.pbtxt")
    _write(tmp_path / "named", "houses/v1/manifest.json", ".git/config")
    _write(tmp_path / "bare", "a", "b", "c", "d", ".hidden")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert explain_no_versions(Path(given)) == sentence


def test_the_folder_above_the_working_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for --models . in a model's folder."""
    _write(tmp_path, "1/manifest.json")
    monkeypatch.chdir(tmp_path)
    assert explain_no_versions(Path()).endswith("'.' looks like one model's folder: pass --models ..")

"""--json and --quiet: what kan-train tells programs."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.models.repository import write_version
from training.cli import main
from training.cli.output import Output
from training.publishing.publish import Published

ROOT = Path(__file__).parents[3]


def objects(text: str) -> list[dict[str, Any]]:
    """The objects of the lines; numbers that JSON does not have are an error."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def test_a_run_tells_one_object_a_line(
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The table, each evaluation, and at the end the version with its metrics; nothing on standard error."""
    recipe = write_recipe(steps=3, grids="[3, 5]")
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(recipe), "--json"]) == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    told = objects(out)
    assert [each["event"] for each in told if each["event"] != "evaluation"] == ["prepared", "published"]
    assert told[0]["train_rows"] + told[0]["validation_rows"] + told[0]["test_rows"] == 200
    evaluations = [each for each in told if each["event"] == "evaluation"]
    assert {each["grid_size"] for each in evaluations} == {3, 5}
    assert len({(each["grid_size"], each["step"]) for each in evaluations}) == len(evaluations)
    last = told[-1]
    assert (last["model"], last["version"], last["folder"]) == ("flowers", 1, "models/flowers/1")
    assert last["metrics"]["test_rmse"] > 0
    assert Path(last["report"]).is_file()
    assert Path(last["held_out"]).is_file()


@pytest.mark.parametrize("style", ["--json", "--quiet"])
def test_an_error_is_on_standard_error_and_for_programs_an_object_too(
    style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--quiet keeps the message and the exit code; --json adds one object with both."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", "none.toml", style]) == 2
    out, errors = capsys.readouterr()
    assert errors.startswith("kan-train: none.toml")
    told = objects(out)
    assert [(each["event"], each["exit_code"]) for each in told] == ([("error", 2)] if style == "--json" else [])


def test_quiet_commands_print_nothing(
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """init, run, tune and rollback do their work in silence."""
    recipe = write_recipe(steps=2)
    monkeypatch.chdir(tmp_path)
    for command in (
        ["init", "flowers.csv", "--target", "weight", "--output", "drafted.toml"],
        ["run", str(recipe)],
        ["tune", "models/flowers/1", "--rows", "1"],
        ["rollback", "flowers"],
    ):
        assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert sorted(path.name for path in (tmp_path / "models" / "flowers").iterdir()) == [
        ".taken-2",
        ".withdrawn-2",
        "1",
        "config.pbtxt",
    ]


def test_init_and_tune_tell_what_they_wrote(
    flowers: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recipe with the remarks on columns; the new version. What goes on meanwhile is for people."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "flowers.csv", "--target", "weight", "--output", "drafted.toml", "--json"]) == 0
    assert main(["tune", str(flowers.folder), "--rows", "1", "--json"]) == 0
    out, errors = capsys.readouterr()
    assert errors == ""
    drafted, tuned = objects(out)
    assert (drafted["event"], drafted["recipe"], drafted["target"]) == ("wrote", "drafted.toml", "weight")
    assert (tuned["event"], tuned["version"]) == ("published", 2)


def test_init_without_a_target_lists_the_columns(
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Name, kind and first values for people, an object for programs; the error is the next command; nothing is
    written.
    """
    write_recipe()
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    wanted = "kan-train: say which column to predict: kan-train init flowers.csv --target COLUMN, for example "
    cells = [line.split(",") for line in Path("flowers.csv").read_text().splitlines()[1:4]]
    assert main(["init", "flowers.csv"]) == 2
    told, errors = capsys.readouterr()
    lines = told.splitlines()
    assert lines[0] == "flowers.csv: 200 rows, 6 columns"
    assert lines[1].split() == ["column", "kind", "missing", "values"]
    assert lines[2].split() == ['"length"', "numbers", *(f"{row[0]};" for row in cells), "…"]
    assert [line.split()[0] for line in lines[2:]] == [
        f'"{name}"' for name in ("length", "fixed", "color", "width", "weight", "kind")
    ]
    assert '2 words           "' in lines[4]
    assert errors == f"{wanted}kan-train init flowers.csv --target kind\n"
    assert main(["init", "flowers.csv", "--decimal", "."]) == 2
    assert "kan-train init flowers.csv --decimal . --target kind\n" in capsys.readouterr().err
    assert main(["init", "flowers.csv", "--json"]) == 2
    told, errors = capsys.readouterr()
    columns, error = objects(told)
    assert (columns["event"], columns["table"], columns["rows"]) == ("columns", "flowers.csv", 200)
    assert columns["columns"][0]["values"] == [row[0] for row in cells]
    assert [(each["kind"], each["missing"]) for each in columns["columns"][2:4]] == [("words", 0), ("numbers", 20)]
    assert (error["event"], error["exit_code"]) == ("error", 2)
    assert errors.startswith(wanted)
    assert main(["init", "flowers.csv", "--quiet"]) == 2
    assert capsys.readouterr().out == ""
    assert set(tmp_path.iterdir()) == before


def test_versions_are_listed_and_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table for people, an object for each version; a rollback says what it withdrew and what answers then."""
    for version in (1, 2):
        write_version(tmp_path / "models", "affine", version)
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0
    heading, newest, older = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["model", "version", "state"]
    assert newest.split()[:3] == ["affine", "2", "newest"]
    assert older.split()[:3] == ["affine", "1", "older"]
    assert main(["rollback", "affine"]) == 0
    text = capsys.readouterr().out
    assert "withdrew models/affine/2; it is kept as models/affine/.withdrawn-2" in text
    assert "version 1 of affine is the newest" in text
    assert "unless its settings (--versions) select other versions" in text
    assert main(["rollback", "affine", "--to", "1", "--json"]) == 0
    assert main(["list", "affine", "--json"]) == 0
    rolled, *listed = objects(capsys.readouterr().out)
    assert (rolled["event"], rolled["version"], rolled["withdrawn"]) == ("rolled_back", 1, [])
    assert [(each["version"], each["state"]) for each in listed] == [(2, "withdrawn"), (1, "newest")]
    assert main(["rollback", "affine"]) == 2
    assert "version 1 is the only one" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "01", "x", "-1"])
def test_what_is_no_version_is_refused_by_the_command_line(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--to wants a version as its folder is named."""
    with pytest.raises(SystemExit) as ended:
        main(["rollback", "affine", f"--to={number}"])
    assert ended.value.code == 2
    assert "wanted the number of a version" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "message"), [([], ""), (["rose"], 'kan-train: {}: there is no model "rose"; wanted one of "m"\n')]
)
def test_a_reader_that_ends_is_no_error(tmp_path: Path, model: list[str], message: str) -> None:
    """As in `kan-train list | head`: exit code 141 and no further message, as kan-client."""
    for version in range(1, 40):
        (tmp_path / "m" / str(version)).mkdir(parents=True)
    command = [sys.executable, "-m", "training", "list", *model, "--models", str(tmp_path), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == message.format(tmp_path)
    assert process.returncode == 141


def test_numbers_that_json_lacks_and_letters_that_the_output_lacks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN and infinity are null; under an ASCII locale letters are escaped."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    Output("json").tell("", "x", values=[float("nan"), float("-inf"), 1.5], name="größe")
    stream.seek(0)
    assert json.loads(stream.read()) == {"event": "x", "values": [None, None, 1.5], "name": "größe"}

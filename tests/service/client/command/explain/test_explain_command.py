"""`kan-client explain` on files, against a kan-serve."""

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from kan_api.v1 import manifest_pb2
from service.client import cli
from tests.kit.models.attributions import add_attribution, contributions, scores
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import KanServe, serving

HEADER = "x0,x1,x2,x3"
ROWS = np.array([[0.5, -1, 2.5, 0], [1, 1.5, 1, 1], [-3, 0.25, 0, 8]], np.float32)
TABLE = f"{HEADER}\n0.5,-1,2.5,0\n1,1.5,1,1\n-3,0.25,0,8\n"

Call = Callable[..., tuple[int, str, str]]


def words(manifest: manifest_pb2.ModelManifest) -> None:
    """Turn four numbers into a number that may be missing and a word of three, the last of which means none."""
    del manifest.columns[:], manifest.features[:]
    manifest.columns.add(name="weight")
    manifest.columns.add(name="colour", categories=["rot", "blau,\nhell", ""])
    manifest.features.add(name="weight", column="weight", high=1.0)
    for word in manifest.columns[1].categories:
        manifest.features.add(name=f"colour={word}", column="colour", category=word, high=1.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of models that explain, of strict, which refuses unknown ground, and of old, which cannot."""
    folder = tmp_path_factory.mktemp("shared")
    models = folder / "models"
    for kind in ("affine", "classifier", "imputed"):
        add_attribution(write_version(models, kind))
    add_attribution(write_version(models, "affine", name="strict", change=with_ground("refuse")), kind="affine")
    add_attribution(write_version(models, "affine", name="wide", change=with_ground()), kind="affine")
    add_attribution(write_version(models, "classifier", name="paint", change=words), kind="classifier")
    write_version(models, "affine", name="old")
    with serving(models, log=folder / "log") as started:
        yield started


@pytest.fixture
def call(server: KanServe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `kan-client explain`, with standard input as given: exit code, standard output and error."""

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = cli.main(["explain", *arguments, "--address", server.grpc, "--timeout-seconds", "60"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def _numbers(line: str) -> list[float]:
    """The printed numbers: explained, baseline, contributions."""
    text = re.sub(r" \([^()]*\)", "", line.rpartition(": ")[2]).replace("−", "-").replace("- ", "-").replace("+ ", "")
    return [float(word) for word in text.replace("= ", "").split()]


def test_a_line_for_each_row(call: Call) -> None:
    """Numpy's contributions, the largest first, with the cells of the file; the printed numbers add up."""
    code, out, err = call("affine", "-", "--top", "4", stdin=TABLE)
    assert (code, err) == (0, "")
    for line, row in zip(out.splitlines(), ROWS, strict=True):
        explained, baseline, *parts = _numbers(line)
        assert explained == pytest.approx(baseline + sum(parts), abs=1e-9)
        assert explained == pytest.approx(float(scores("affine", row[np.newaxis])[0, 0]), abs=0.1)
        right = contributions("affine", row[np.newaxis])[0, 0]
        named = re.findall(r"\((x\d) ([^)]*)\)", line)
        order = sorted(np.flatnonzero(right).tolist(), key=lambda place: -abs(right[place]))
        assert [name for name, _ in named] == [f"x{place}" for place in order]
        assert [float(cell) for _, cell in named] == [row[place] for place in order]
        np.testing.assert_allclose(parts, right[order], atol=0.1)


def test_classes_are_said_once(call: Call) -> None:
    """The score of the predicted class, or of the class that is asked for; a header says so."""
    code, out, _ = call("classifier", "-", stdin=TABLE)
    assert code == 0
    header, *lines = out.splitlines()
    assert header.startswith("# score of the predicted class, before the softmax")
    best = scores("classifier", ROWS).argmax(axis=1)
    assert [line.split(":")[0] for line in lines] == [["red", "green", "blue"][place] for place in best]
    assert any(line.endswith("(rest)") for line in lines)
    code, out, _ = call("classifier", "-", "--class", "green", stdin=TABLE)
    assert out.splitlines()[0].startswith('# score of class "green"')
    shown = [_numbers(line)[0] for line in out.splitlines()[1:]]
    np.testing.assert_allclose(shown, scores("classifier", ROWS)[:, 1], atol=0.1)


def test_words_and_gaps_are_shown(call: Call) -> None:
    """A column of words shows its word, and a cell without a value says so."""
    table = 'weight;colour\n2;rot\n1;"blau,\nhell"\n3;\n'
    code, out, _ = call("paint", "-", "--class", "red", stdin=table)
    assert code == 0
    lines = out.splitlines()[1:]
    for line, cell in zip(lines, ["colour rot", "colour blau, hell", "colour missing"], strict=True):
        assert f"({cell})" in line
    code, out, _ = call("imputed", "-", stdin="x0,x1\n,3\n")
    assert (code, "(x0 missing)" in out) == (0, True), out


def test_a_reference_of_the_caller(call: Call, tmp_path: Path) -> None:
    """As a JSON object, a CSV or JSON lines; it must be one row of the model."""
    row = {f"x{place}": float(value) for place, value in enumerate(ROWS[1])}
    (tmp_path / "row.csv").write_text(f"{HEADER}\n1,1.5,1,1\n")
    (tmp_path / "row.jsonl").write_text(json.dumps(row))
    (tmp_path / "rows.csv").write_text(TABLE)
    base = float(scores("affine", ROWS[1:2])[0, 0])
    for reference in (json.dumps(row), str(tmp_path / "row.csv"), str(tmp_path / "row.jsonl")):
        code, out, _ = call("affine", "-", "--reference", reference, stdin=TABLE)
        assert code == 0
        assert [_numbers(line)[1] for line in out.splitlines()] == pytest.approx([base] * 3, abs=0.1)
    for reference, message in (
        (str(tmp_path / "rows.csv"), "has 3 rows; wanted one"),
        ('{"x0": 1}', '--reference lacks columns "x1", "x2", "x3"'),
        ("{", "--reference is no JSON object"),
        ("", "--reference is empty; wanted a file with one row"),
        ("-", '--reference is "-", but standard input is for the rows'),
        ("[]", '--reference is "[]", neither a file nor a JSON object'),
        (str(tmp_path / "absent.csv"), "cannot read it"),
    ):
        code, out, err = call("affine", "-", "--reference", reference, stdin=TABLE)
        assert (code, out) == (2, "")
        assert message in err


def test_a_reference_is_looked_at_as_rows_are(call: Call, tmp_path: Path) -> None:
    """Columns that the model does not have are ignored and told, and so is unknown ground; of a file too."""
    row = {"x0": 0, "x1": 0, "x2": 0, "x3": 500, "id": 7}
    path = tmp_path / "row.jsonl"
    path.write_text(json.dumps(row))
    for reference in (json.dumps(row), str(path)):
        code, out, err = call("wide", "-", "--reference", reference, stdin=f"{HEADER}\n0,0,0,0\n")
        assert (code, out.count("\n")) == (0, 1)
        assert err == (
            'kan-client: --reference: ignored "id"\n'
            "kan-client: --reference: warning: 1 of 1 rows outside the training range: x3 500 (-1 to 3)\n"
        )
    code, _, err = call("wide", "-", stdin=f"{HEADER},id\n0,0,0,0,7\n")
    assert (code, err) == (0, 'kan-client: standard input: ignored "id"\n')


def test_decimal_commas_of_both_files_are_read_with_the_option(call: Call, tmp_path: Path) -> None:
    """The rows and the reference row are read by one option; cells are shown as they are in the file."""
    path = tmp_path / "row.csv"
    text, reference = "x0;x1;x2;x3\n1.5;2;3;4\n", "x0;x1;x2;x3\n0.5;-1.25;3;4\n"
    path.write_text(reference)
    wanted = call("affine", "-", "--reference", str(path), stdin=text)
    assert wanted[0] == 0
    path.write_text(reference.replace(".", ","))
    code, out, err = call("affine", "-", "--reference", str(path), "--decimal", ",", stdin=text.replace(".", ","))
    assert (code, out.replace("1,5", "1.5"), err) == wanted


def test_bad_rows_are_named_and_the_others_explained(call: Call) -> None:
    """A row that does not fit, and one that the server refuses, get "?"; the exit code is 3."""
    code, out, err = call("affine", "-", stdin=f"{HEADER}\n1,2,3,4\n1,x,3,4\n4,3,2,1\n")
    assert code == 3
    assert [line == "?" for line in out.splitlines()] == [False, True, False]
    assert 'row 2 (line 3): column "x1" holds "x"' in err
    # The server says it where the manifest that clients get has no histograms; here the client finds it.
    code, out, err = call("strict", "-", stdin=f"{HEADER}\n0,0,0,0\n0,0,0,500\n3,3,3,3\n")
    assert code == 3
    assert [line == "?" for line in out.splitlines()] == [False, True, False]
    assert "row 2 (line 3)" in err
    assert "500" in err


def test_rows_without_a_finite_answer_are_counted(call: Call) -> None:
    """An overflow gets "?" and a reason; so does a file without rows."""
    code, out, err = call("affine", "-", stdin=f"{HEADER}\n0,0,0,0\n3e38,3e38,3e38,3e38\n")
    assert (code, out.splitlines()[1]) == (0, "?")
    assert "kan-client: standard input: 1 of 2 rows has no finite answer\n" in err
    assert call("affine", "-", stdin=f"{HEADER}\n") == (0, "", "kan-client: standard input has no rows\n")


def test_unknown_ground_is_said_by_column(call: Call) -> None:
    """Rows outside the training range are explained, and a line on standard error names the columns."""
    code, out, err = call("wide", "-", stdin=f"{HEADER}\n0,0,0,0\n0,0,0,500\n")
    assert (code, out.count("\n")) == (0, 2)
    assert "warning: 1 of 2 rows outside the training range: x3 500 (-1 to 3)" in err


def test_mistakes_end_with_a_sentence(call: Call) -> None:
    """A version that cannot explain, a class that is none, a number that is none: exit code 2, nothing printed."""
    for arguments, message in (
        (["old", "-"], "kan-train tune models/old/1"),
        (["classifier", "-", "--class", "pink"], 'has the classes "red", "green", "blue"'),
        (["affine", "-", "--class", "z"], 'has the targets "y"'),
        (["absent", "-"], "absent"),
        (["affine", "-", "--model-version", "9"], "no version 9"),
    ):
        code, out, err = call(*arguments, stdin=TABLE)
        assert (code, out) == (2, ""), err
        assert message in err
    with pytest.raises(SystemExit):
        call("affine", "-", "--top", "0", stdin=TABLE)

"""`kan-client predict` on files with bad rows and on files with columns to keep, against a kan-serve."""

import csv
import io
import itertools
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from kan_api.v1 import manifest_pb2
from service.client import Client, cli
from service.client.command.predict_file import PredictionJob, predict_file
from tests.kit.models.graphs import KINDS
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import KanServe, Start, serving
from tests.kit.waiting import wait_for

COMMAND = [sys.executable, "-m", "service.client.cli", "predict"]
HEADER = "x0,x1,x2,x3"
BLOCK_ROWS = 4096

Call = Callable[..., tuple[int, str, str]]


def words(manifest: manifest_pb2.ModelManifest) -> None:
    """Turn four numbers into a number that must be there and a word of three."""
    del manifest.columns[:], manifest.features[:]
    manifest.columns.add(name="weight")
    manifest.columns.add(name="colour", categories=["rot", "blau,\nhell", "grau"])
    manifest.features.add(name="weight", column="weight", high=1.0)
    for word in manifest.columns[1].categories:
        manifest.features.add(name=f"colour={word}", column="colour", category=word, high=1.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine, of classifier, and of paint, which takes words; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    models = folder / "models"
    write_version(models, "affine")
    write_version(models, "classifier")
    write_version(models, "classifier", name="paint", change=words)
    with serving(models, log=folder / "log") as started:
        yield started


@pytest.fixture
def call(server: KanServe, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run `kan-client predict`, with standard input as given: exit code, standard output and error."""

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = cli.main(["predict", *arguments, "--address", server.grpc, "--timeout-seconds", "60"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def table_of(rows: int, bad: set[int]) -> tuple[str, np.ndarray]:
    """A CSV of that many rows for affine with bad rows among them, and the right answers: NaN for a bad row."""
    numbers = np.random.default_rng(0).normal(size=(rows, 4)).round(3).astype(np.float32)
    answers = KINDS["affine"].answer(numbers)[:, 0].copy()
    lines = [",".join(f"{value:.3f}" for value in row) for row in numbers.astype(np.float64)]
    wrong = ["1,2,3", "1,2,3,4,5", "1,x,3,4", "1,,3,4", "1,2,3,1e39", "1,2,inf,4", '1,2,"3"4,5']
    for place, row in enumerate(sorted(bad)):
        lines[row], answers[row] = wrong[place % len(wrong)], np.nan
    return "\n".join([HEADER, *lines]) + "\n", answers


def answers_in(out: str) -> np.ndarray:
    """The answers as printed; NaN for an empty one."""
    _, *rows = csv.reader(io.StringIO(out))
    return np.array([float(cell or "nan") for (cell,) in rows])


LAST = 2 * BLOCK_ROWS


@pytest.mark.parametrize(
    ("rows", "bad"),
    [
        (1, {0}),
        (2, {0}),
        (3, {1, 2}),
        (7, set(range(7))),
        (LAST + 1, {0, BLOCK_ROWS - 1, BLOCK_ROWS, LAST}),
        (LAST, set(range(BLOCK_ROWS, LAST))),
    ],
)
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_a_bad_row_costs_its_own_answer_only(call: Call, tmp_path: Path, rows: int, bad: set[int], source: str) -> None:
    """The order holds: first, last, at the boundary of two blocks, a whole block, all rows. The exit code is 3."""
    text, wanted = table_of(rows, bad)
    path = tmp_path / "rows.csv"
    path.write_text(text)
    code, out, err = call("affine", str(path)) if source == "file" else call("affine", stdin=text)
    assert code == 3
    np.testing.assert_allclose(answers_in(out), wanted, atol=1e-4)
    *named, last = err.splitlines()
    shown = str(path) if source == "file" else "standard input"
    assert len(named) == min(10, len(bad))
    for line, row in zip(named, sorted(bad), strict=False):
        assert line.startswith(f"kan-client: {shown}: row {row + 1} (line {row + 2})")
    assert f"{shown}: {len(bad)} of {rows} rows ha" in last


def test_decimal_commas_of_a_file_are_read_with_the_option(call: Call) -> None:
    """The answers, their truth and the score are those of the same file with points; without the option none is."""
    text = "x0;x1;x2;x3;y\n1.5;2;3;4;0.5\n-0.25;1;2.5;4;0.75\n"
    for extra in ([], ["--target", "y"]):
        wanted = call("affine", *extra, stdin=text)
        assert wanted[0] == 0
        assert call("affine", *extra, "--decimal", ",", stdin=text.replace(".", ",")) == wanted
    code, _, err = call("affine", stdin=text.replace(".", ","))
    assert code == 3
    assert 'holds "1,5", wanted a number' in err


def test_strict_refuses_the_file(call: Call) -> None:
    """Nothing is printed if the first bad row is in the first block, and the exit code is 2."""
    code, out, err = call("affine", "--strict", stdin=table_of(5, {3})[0])
    assert (code, out) == (2, "")
    assert "row 4 (line 5)" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("later", ["x,2,3,4", "1,2,3"])
def test_strict_names_the_first_bad_row(call: Call, later: str) -> None:
    """Not a later one with a fault in an earlier column, or one that is not readable at all."""
    code, _, err = call("affine", "--strict", stdin=f"x0,x1,x2,x3\n1,2,3,4\n1,2,3,y\n{later}\n")
    assert code == 2
    assert 'row 2 (line 3): column "x3" holds "y"' in err


def test_a_column_that_is_missing_refuses_the_file(call: Call) -> None:
    """In CSV by the header, in JSON lines if no row has it."""
    assert call("affine", stdin="x0,x1,x2\n1,2,3\n")[:2] == (2, "")
    text = '{"x0": 1, "x1": 2, "x2": 3}\n' * 2
    assert call("affine", "--format", "jsonl", stdin=text)[:2] == (2, "")
    code, out, _ = call("affine", "--format", "jsonl", stdin=text + '{"x0": 1, "x1": 2, "x2": 3, "x3": 4}\n')
    assert (code, out.splitlines()[:3]) == (3, ["y", '""', '""'])


def test_words_that_training_never_saw_have_no_answer(call: Call) -> None:
    """The message has the words that there are. Words may have commas and line ends."""
    text = 'weight,colour\n1,"blau,\nhell"\n1,"blau,\nmatt"\n,rot\n2,grau\n'
    code, out, err = call("paint", stdin=text)
    assert code == 3
    assert [row[0] == "" for row in csv.reader(io.StringIO(out))] == [False, False, True, True, False]
    assert 'row 2 (line 4): column "colour" holds "blau,\\nmatt", wanted one of "rot"' in err
    assert 'row 3 (line 6): column "weight" holds no value' in err


@pytest.mark.parametrize("style", ["csv", "json", "table"])
def test_kept_columns_stand_before_the_answer(call: Call, style: str) -> None:
    """Text is kept as it is, also of a bad row. The answer is predicted_<target>; inputs can be kept too."""
    text = 'id,x0,x1,x2,x3,"na,me"\n007,1,2,3,4,"a ""b"",\nc"\n ,1,2,x,4,\n'
    code, out, err = call("classifier", "--keep", 'id, "na,me"', "--keep", "x0", "--output", style, stdin=text)
    assert code == 3
    assert "ignored" not in err
    if style == "csv":
        header, first, second = csv.reader(io.StringIO(out))
        assert header == ["id", "na,me", "x0", "predicted_y", "probability"]
        assert first[:4] == ["007", 'a "b",\nc', "1", "blue"]
        assert second == [" ", "", "1", "", ""]
    elif style == "json":
        one, two = (json.loads(line) for line in out.splitlines())
        assert list(one) == ["id", "na,me", "x0", "predicted_y", "probability"]
        assert one["na,me"] == 'a "b",\nc'
        assert two == {"id": " ", "na,me": "", "x0": "1", "predicted_y": None, "probability": None}
    else:
        assert [line.split()[-1] for line in out.splitlines()] == ["probability", "0.994441", "?"]


def test_kept_cells_of_json_lines_keep_their_types(call: Call) -> None:
    """What JSON cannot say, and what UTF-8 cannot say, does not end the table."""
    text = '{"x0":1,"x1":2,"x2":3,"x3":4,"k":[1,NaN],"s":"\\ud800"}\n{"x0":1,"x1":2,"x2":3,"x3":[],"k":true,"s":null}\n'
    arguments = ("affine", "--format", "jsonl", "--keep", "k,s")
    code, out, _ = call(*arguments, "--output", "json", stdin=text)
    one, two = (json.loads(line) for line in out.splitlines())
    assert (code, one["k"], one["s"]) == (3, [1, None], "?")
    assert two == {"k": True, "s": None, "predicted_y": None}
    code, out, _ = call(*arguments, stdin=text)
    assert [row[:2] for row in csv.reader(io.StringIO(out))] == [["k", "s"], ["[1, NaN]", "?"], ["true", ""]]


@pytest.mark.parametrize(
    ("keep", "wanted"),
    [
        ("id,id", "twice"),
        ("idd", 'column "idd" missing'),
        ("probability", 'column "probability" cannot be kept'),
        ("predicted_y", 'column "predicted_y" cannot be kept'),
    ],
)
def test_columns_that_cannot_be_kept_are_wrong_input(call: Call, keep: str, wanted: str) -> None:
    """A column that the file lacks, one that is named twice, and one with the name of an answer."""
    text = "id,probability,predicted_y,x0,x1,x2,x3\na,b,c,1,2,3,4\n"
    code, out, err = call("classifier", "--keep", keep, stdin=text)
    assert (code, out) == (2, "")
    assert wanted in err


@pytest.mark.parametrize("keep", ["", "a,,b", '"a'])
def test_a_list_of_no_columns_is_a_wrong_command_line(call: Call, keep: str) -> None:
    """As argparse says it."""
    with pytest.raises(SystemExit) as ended:
        call("affine", "--keep", keep)
    assert ended.value.code == 2


def test_bad_rows_are_left_out_of_the_score(call: Call) -> None:
    """So is a row whose true value is no number: it has an answer, and the exit code is 3."""
    text, wanted = table_of(6, {2})
    lines = text.splitlines()
    truth = ["y", *(f"{value + 0.5:.6f}" for value in wanted)]
    truth[5] = "unknown"
    text = "\n".join(",".join(pair) for pair in zip(lines, truth, strict=True))
    code, out, err = call("affine", "--target", "y", stdin=text)
    assert code == 3
    np.testing.assert_allclose(answers_in(out), wanted, atol=1e-4)
    assert 'row 5 (line 6): column "y" holds "unknown", wanted a number' in err
    assert "1 of 6 rows has no answer" in err
    assert "1 of 6 rows has no true value" in err
    assert "RMSE 0.5, R²" in err
    assert "(4 rows)" in err
    assert call("affine", "--target", "y", "--strict", stdin=text)[0] == 2


def test_classes_are_scored_without_bad_rows(call: Call) -> None:
    """The labels stay with their rows."""
    text = f"y,{HEADER}\nblue,1,2,x,4\nblue,1,2,3,4\nred,1,2,3,4\n"
    code, _, err = call("classifier", "--target", "y", stdin=text)
    assert code == 3
    assert "accuracy 0.5000 (1 of 2 rows)" in err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.usefixtures("foreground")
def test_an_interrupted_table_keeps_its_answers(
    server: KanServe, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """The file has a line for each answered row, and a message says how many and how to ask for the rest."""
    path = tmp_path / "answers.csv"
    with path.open("w") as output, start(server, output) as process:
        feed_a_block(process)
        wait_for(lambda: path.stat().st_size > 0)
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        assert process.stderr is not None
        err = process.stderr.read()
    header, *answers = path.read_text().splitlines()
    assert header == "y"
    assert 0 < len(answers) <= BLOCK_ROWS
    np.testing.assert_allclose(np.array(answers, float), float(answers[0]))
    assert f"interrupted: {len(answers):,} rows are answered; for the rest add --skip-rows {len(answers)} " in err
    assert err.count("\n") == 1


def test_a_second_interrupt_keeps_the_hint(server: KanServe, tmp_path: Path) -> None:
    """It ends the count of the file's rows; the message comes without the total."""

    class Interrupting(io.BufferedReader):
        def readline(self, size: int | None = -1, /) -> bytes:
            if not (line := super().readline(size)):
                raise KeyboardInterrupt
            return line

    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text(table_of(BLOCK_ROWS + 5, set())[0])
    told: list[str] = []
    job = PredictionJob("affine", None, "rows", "csv", "csv", all_probabilities=False, target=None)
    with (
        Interrupting(io.FileIO(rows)) as stream,
        out.open("w", encoding="utf-8") as output,
        Client(server.grpc, 60) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        predict_file(client, job, stream, output, told.append)
    (line,) = told
    assert line.startswith(f"interrupted: {BLOCK_ROWS:,} rows are answered; for the rest add --skip-rows {BLOCK_ROWS} ")


def test_a_server_that_goes_away_leaves_the_answers_in_the_file(
    kan_serve: Start, write_model: WriteModel, tmp_path: Path
) -> None:
    """The exit code is 1, and the messages say which server it was and how to ask for the rest."""
    write_model("affine")
    server = kan_serve()
    path = tmp_path / "answers.csv"
    with path.open("w") as output, start(server, output) as process:
        feed_a_block(process)
        wait_for(lambda: path.stat().st_size > 0)
        server.kill()
        _, err = process.communicate(timeout=60)
    rows = len(path.read_text().splitlines()) - 1
    assert (process.returncode, rows > 0) == (1, True)
    rest, why = err.splitlines()
    assert f"{rows:,} rows are answered; for the rest add --skip-rows {rows} --model-version 1 " in rest
    assert f"no server at {server.grpc}" in why


@pytest.mark.parametrize("style", ["csv", "json", "table"])
def test_the_rest_of_a_table_follows_its_beginning(call: Call, style: str, tmp_path: Path) -> None:
    """Lines of both parts together are those of the whole file; a table has its header twice."""
    text, _ = table_of(5000, {3, 4600})
    file = tmp_path / "rows.csv"
    file.write_text(text)
    whole = call("affine", str(file), "--output", style)[1].splitlines()
    code, out, err = call("affine", str(file), "--output", style, "--skip-rows", "4500", "--model-version", "1")
    rest = out.splitlines()[1 if style == "table" else 0 :]
    assert code == 3
    assert [line.split() for line in rest] == [line.split() for line in whole[-500:]]  # widths are those of each part
    assert "row 4601 (line 4602)" in err
    assert "row 4 " not in err
    assert call("affine", str(file), "--skip-rows", "5000", "--model-version", "1")[:2] == (0, "")


def test_more_rows_than_the_file_has_cannot_be_left_out(call: Call, tmp_path: Path) -> None:
    """The file is another than the one that was begun, so its end must not be taken for that of the table."""
    file = tmp_path / "rows.csv"
    file.write_text(table_of(10, set())[0])
    code, out, err = call("affine", str(file), "--skip-rows", "11", "--model-version", "1")
    assert (code, out) == (2, "")
    assert "--skip-rows is 11" in err
    assert "has 10 rows" in err


def test_the_rest_of_a_table_needs_the_version_of_its_beginning(call: Call, tmp_path: Path) -> None:
    """The latest version may be another one by now, and a table holds the answers of one."""
    file = tmp_path / "rows.csv"
    file.write_text(table_of(10, set())[0])
    code, out, err = call("affine", str(file), "--skip-rows", "5")
    assert (code, out) == (2, "")
    assert "--skip-rows needs --model-version" in err
    assert call("affine", str(file), "--skip-rows", "0")[0] == 0


def test_rows_to_skip_are_a_number(call: Call) -> None:
    """As argparse says it."""
    with pytest.raises(SystemExit) as ended:
        call("affine", "--skip-rows", "-1")
    assert ended.value.code == 2


@pytest.mark.usefixtures("foreground")
def test_an_interrupted_table_on_a_pipe_says_that_it_is_not_all(server: KanServe) -> None:
    """Its last line is no answer. No message says how many rows arrived: nobody knows."""
    with start(server, subprocess.PIPE) as process:
        feed_a_block(process)
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "y\n"
        process.send_signal(signal.SIGTERM)
        last = process.stdout.read().splitlines()[-1]
        assert process.wait(timeout=60) == 143
        assert process.stderr.read() == ""
    assert last == "# incomplete: interrupted"


def test_messages_on_a_terminal_have_no_line_of_progress_for_a_short_table(server: KanServe) -> None:
    """Answers go to a file, messages to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "affine", "--address", server.grpc],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    with process:
        os.close(theirs)
        out, _ = process.communicate(table_of(3, {1})[0], timeout=60)
        err = os.read(ours, 10_000).decode()
    os.close(ours)
    assert process.returncode == 3
    assert len(out.splitlines()) == 4
    assert err.count("kan-client: standard input: ") == len(err.splitlines()) == 2
    assert "\x1b" not in err


def test_a_long_table_shows_on_a_terminal_how_far_it_is(server: KanServe, tmp_path: Path) -> None:
    """A line of progress comes beyond three seconds and goes at the end; the file has the answers alone."""
    ours, theirs = pty.openpty()
    began = time.monotonic()
    with (tmp_path / "answers.csv").open("w") as output, start(server, output, theirs) as process:
        os.close(theirs)
        blocks = itertools.count(1)
        feed_a_block(process)
        shown = wait_for(lambda: read_or_feed(ours, process, blocks), "the line of progress")
        seconds = time.monotonic() - began
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    last = os.read(ours, 100_000).decode()
    os.close(ours)
    assert re.match(r"\r\x1b\[Kkan-client: [\d,]+ rows, [\d,]+ a second", shown)
    assert seconds > 3
    assert last.endswith("\r\x1b[K")
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == 2 + next(blocks) * BLOCK_ROWS


def read_or_feed(terminal: int, process: "subprocess.Popen[str]", blocks: "itertools.count[int]") -> str:
    """What stands on the terminal; while nothing does, the process gets one more block of the same table."""
    if select.select([terminal], [], [], 0.2)[0]:
        return os.read(terminal, 10_000).decode()
    next(blocks)
    assert process.stdin is not None
    process.stdin.write("1,2,3,4\n" * BLOCK_ROWS)
    process.stdin.flush()
    return ""


def start(server: KanServe, output: IO[str] | int, messages: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    """A `kan-client predict affine` that waits for its standard input."""
    return subprocess.Popen(
        [*COMMAND, "affine", "--address", server.grpc, "--timeout-seconds", "60"],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=messages,
        text=True,
    )


def feed_a_block(process: "subprocess.Popen[str]") -> None:
    """Give it a block and the beginning of the next one."""
    assert process.stdin is not None
    process.stdin.write(f"{HEADER}\n" + "1,2,3,4\n" * (BLOCK_ROWS + 1))
    process.stdin.flush()

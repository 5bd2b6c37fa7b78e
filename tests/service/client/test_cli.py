"""kan-client as a person calls it, against a kan-serve in a process of its own."""

import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kan_api.v1 import manifest_pb2
from service.client import cli
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import KanServe, Start, serving
from tests.kit.server.programs import free_ports

Floats = NDArray[np.float32]
Answer = Callable[[str, Floats], Floats]

COMMAND = [sys.executable, "-m", "service.client.cli"]
PAINT = 'colour;id;weight\r\n"blau, ""hell""";1;2.5\r\n;2;\r\n'


def words(manifest: manifest_pb2.ModelManifest) -> None:
    """Turn four numbers into a number that may be missing and a word of three."""
    del manifest.columns[:], manifest.features[:]
    manifest.columns.add(name="weight")
    manifest.columns.add(name="colour", categories=["rot", 'blau, "hell"', ""])
    manifest.features.add(name="weight", column="weight", imputed=7.0, high=1.0)
    for word in manifest.columns[1].categories:
        manifest.features.add(name=f"colour={word}", column="colour", category=word, high=1.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine, classifier, paint, which takes words, and refitted; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    models = folder / "models"
    write_version(models, "affine", version=2)
    write_version(models, "classifier")
    write_version(models, "classifier", name="paint", change=words)
    write_version(models, "affine", name="refitted", change=lambda manifest: setattr(manifest.data, "refit", True))
    with serving(models, log=folder / "log") as started:
        yield started


@pytest.fixture
def address(server: KanServe, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the server; kan-client finds it by KAN_ADDRESS."""
    monkeypatch.setenv("KAN_ADDRESS", server.grpc)
    return server.grpc


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address without a server, in KAN_ADDRESS, where kan-client connects to."""
    found = f"127.0.0.1:{free_ports(1)[0]}"
    monkeypatch.setenv("KAN_ADDRESS", found)
    return found


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run one command line, with standard input as given: exit code, standard output and error."""

    def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = cli.main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return run


Call = Callable[..., tuple[int, str, str]]


def test_models_and_health(address: str, call: Call) -> None:
    """The table lists all models. `health` reports by its exit code too."""
    code, out, err = call("models")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["model", "version", "state", "latest", "task", "features", "reason"]
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["affine", "2", "ready", "yes", "regression", "4"],
        ["classifier", "1", "ready", "yes", "classification", "4"],
        ["paint", "1", "ready", "yes", "classification", "4"],
        ["refitted", "1", "ready", "yes", "regression", "4"],
    ]
    assert call("health") == (0, "SERVING\n", "")
    assert call("health", "paint", "--address", address) == (0, "SERVING\n", "")
    code, out, err = call("health", "nope")
    assert (code, out) == (1, "")
    assert "'nope' is unknown" in err


def test_a_model_is_described(address: str, call: Call) -> None:
    """The columns that it wants, for somebody without the file that it was trained on."""
    code, out, err = call("describe", "paint")
    assert (code, err) == (0, "")
    assert out.startswith('paint version 1 answers "y", one of "red", "green", "blue"')
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["column", "weight", "colour"]
    assert "beyond training" in out
    assert call("describe", "affine", "--model-version", "2")[0] == 0
    assert call("describe", "affine", "--model-version", "1")[0] == 2
    assert call("describe", "nope")[:2] == (2, "")


def test_a_column_of_true_values_is_noticed(address: str, call: Call) -> None:
    """It is ignored, and the message says how to compare."""
    code, _, err = call("predict", "affine", stdin="x0,x1,x2,x3,y,z\n1,2,3,4,5,6\n")
    assert code == 0
    assert err == 'kan-client: standard input: ignored "y", "z"; --target y compares the answers with the true values\n'


def test_a_refused_model_is_listed_with_its_reason(kan_serve: Start, write_model: WriteModel, call: Call) -> None:
    """The other models are listed too. `health` of the server or of the model fails."""
    write_model("affine")
    (write_model("affine", name="broken") / "model.onnx").write_bytes(b"no model")
    other = kan_serve().grpc
    _, out, _ = call("models", "--address", other)
    assert any(line.split()[:3] == ["affine", "1", "ready"] for line in out.splitlines())
    broken = next(line for line in out.splitlines() if line.startswith("broken"))
    assert broken.split()[1:3] == ["1", "refused"]
    assert "8 bytes" in broken
    code, out, _ = call("health", "broken", "--address", other)
    assert (code, out) == (1, "NOT_SERVING\n")
    code, out, err = call("predict", "broken", "--address", other, stdin="x0\n1\n")
    assert (code, out) == (1, "")
    assert "8 bytes" in err
    assert "publish the model again" in err


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_words_quotes_and_missing_cells_reach_the_model(
    address: str, call: Call, answer: Answer, tmp_path: Path, source: str
) -> None:
    """From a file with a byte order mark and CRLF, or from standard input; unknown columns are named once."""
    path = tmp_path / "paint.csv"
    path.write_text(PAINT, encoding="utf-8-sig", newline="")
    code, out, err = call("predict", "paint", str(path)) if source == "file" else call("predict", "paint", stdin=PAINT)
    shown = str(path) if source == "file" else "standard input"
    assert (code, err) == (
        0,
        f'kan-client: {shown}: ignored "id"\nkan-client: {shown}: 1 of 2 rows has no finite answer\n',
    )
    _check(out, answer("classifier", np.array([[2.5, 0, 1, 0], [np.nan, 0, 0, 1]], np.float32)))


def test_json_lines_by_their_name_or_by_flag(address: str, call: Call, answer: Answer, tmp_path: Path) -> None:
    """Values have JSON's own types. Answers are JSON too, if asked for."""
    text = '{"colour": "rot", "weight": 1}\n{"weight": 2.5, "colour": null}\n'
    path = tmp_path / "paint.NDJSON"
    path.write_text(text)
    wanted = answer("classifier", np.array([[1, 1, 0, 0], [2.5, 0, 0, 1]], np.float32))
    code, out, err = call("predict", "paint", str(path))
    assert (code, err) == (0, "")
    _check(out, wanted)
    code, out, _ = call("predict", "paint", "-", "--format", "jsonl", "--output", "json", "--all", stdin=text)
    records = [json.loads(line) for line in out.splitlines()]
    assert list(records[0]) == ["y", "probability_red", "probability_green", "probability_blue"]
    np.testing.assert_allclose([list(record.values())[1:] for record in records], wanted, atol=1e-6)


def _check(out: str, wanted: Floats) -> None:
    """The CSV holds the labels and their probabilities."""
    header, *rows = csv.reader(io.StringIO(out))
    assert header == ["y", "probability"]
    for (label, probability), probabilities in zip(rows, wanted, strict=True):
        told = not np.isnan(probabilities).any()
        assert label == (["red", "green", "blue"][int(probabilities.argmax())] if told else "")
        np.testing.assert_allclose(float(probability), probabilities.max(), atol=1e-6)


@pytest.mark.slow
def test_a_hundred_thousand_rows_go_in_chunks(address: str, call: Call, answer: Answer, tmp_path: Path) -> None:
    """Every row is answered, in order, and scored against the truth in the file."""
    rows = np.random.default_rng(0).normal(size=(100_000, 4)).round(3)
    truth = answer("affine", rows.astype(np.float32))[:, 0].astype(np.float64) + 0.5
    path = tmp_path / "large.csv"
    np.savetxt(path, np.column_stack([rows, truth]), delimiter=",", header="x0,x1,x2,x3,y", comments="", fmt="%.9g")
    code, out, err = call("predict", "affine", str(path), "--target", "y", "--timeout-seconds", "60")
    assert code == 0
    got = np.loadtxt(io.StringIO(out), skiprows=1)
    np.testing.assert_allclose(got, truth - 0.5, atol=1e-4)
    assert out.startswith("y\n")
    r2 = 1 - 0.25 / truth.var()
    assert err == f"RMSE 0.5, R² {r2:.4f} (100000 rows)\n"


def test_accuracy_is_told_on_standard_error(address: str, call: Call) -> None:
    """Answers stay alone on standard output."""
    code, out, err = call("predict", "classifier", "--target", "y", stdin="y,x0,x1,x2,x3\nblue,1,2,3,4\nred,0,0,0,0\n")
    assert code == 0
    assert "accuracy 0.5000 (1 of 2" in err
    assert len(out.splitlines()) == 3


def test_a_score_of_a_refitted_model_may_be_too_good(address: str, call: Call) -> None:
    """Only of rows that trained it: new rows judge it rightly."""
    _, _, err = call("predict", "refitted", "--target", "y", stdin="y,x0,x1,x2,x3\n1,1,2,3,4\n2,0,0,0,0\n")
    assert err.endswith("; too good if rows of this file trained the model\n")


def test_options_may_stand_between_the_model_and_the_file(address: str, call: Call, tmp_path: Path) -> None:
    """Before, between and after; two files, or a file beside "-", are a wrong command line."""
    path = tmp_path / "rows.csv"
    path.write_text("y,x0,x1,x2,x3\nblue,1,2,3,4\n")
    model, file, options = "classifier", str(path), ["--target", "y", "--strict"]
    wanted = call("predict", model, file, *options)
    assert wanted[0] == 0
    assert call("predict", model, *options, file) == wanted
    assert call("predict", *options, model, file) == wanted
    assert call("predict", model, *options, "-", stdin=path.read_text()) == wanted
    for arguments in ([file, *options, file], ["-", *options, file], [*options, file, file], [*options, "--no", file]):
        with pytest.raises(SystemExit) as ended:
            call("predict", model, *arguments)
        assert ended.value.code == 2
    with pytest.raises(SystemExit):
        call("models", file)


def test_no_rows_give_a_header_alone(address: str, call: Call) -> None:
    """A filter that lets nothing through is no mistake; a line on standard error says so."""
    told = "kan-client: standard input has no rows\n"
    assert call("predict", "affine", stdin="x0,x1,x2,x3\n") == (0, "y\n", told)
    assert call("predict", "affine", "--format", "jsonl", "--output", "json", stdin="") == (0, "", told)


def test_infinite_answers_and_nan_are_counted(address: str, call: Call) -> None:
    """They are printed, and standard error says how many there are."""
    code, out, err = call("predict", "affine", stdin="x0,x1,x2,x3\n0,0,0,0\n3e38,3e38,3e38,3e38\n")
    assert (code, out.splitlines()[2].strip("-")) == (0, "inf")
    assert err == "kan-client: standard input: 1 of 2 rows has no finite answer\n"
    assert "1 of 1 rows has no finite answer" in call("predict", "paint", stdin="weight,colour\n,rot\n")[2]


WRONG = [
    (("affine",), "1,2,3,4\n", 'standard input: the first line holds "1", "2", "3", "4"; a header is needed'),
    (("affine",), "", "standard input: the file is empty"),
    (("affine",), "x0,x1\n1,2\n", 'standard input: columns "x2", "x3" missing; the header has "x0", "x1"'),
    (
        ("affine", "--strict"),
        "x0,x1,x2,x3\n1,2,3,4\n1,2,z,4\n",
        'row 2 (line 3): column "x2" holds "z", wanted a number',
    ),
    (
        ("affine", "--strict"),
        "x0,x1,x2,x3\n1,,3,4\n",
        'row 1 (line 2): column "x1" holds no value (""), wanted a number',
    ),
    (
        ("paint", "--strict"),
        "weight,colour\n1,grün\n",
        'column "colour" holds "grün", wanted one of "rot", "blau, \\"hell\\""',
    ),
    (("affine", "--target", "t"), "x0,x1,x2,x3\n1,2,3,4\n", 'column "t" missing'),
    (("affine", "absent.csv"), "", "absent.csv: cannot read it: No such file or directory"),
    (("affine", "."), "", ".: cannot read it: Is a directory"),
    (
        ("affine", "--set", "x0=3"),
        "",
        "x0=3: there is no such file; the values of rows come from FILE or standard input",
    ),
    (("nope",), "", "model 'nope' is unknown"),
    (("affine", "--model-version", "7"), "", "has no version 7"),
    (("affine", "--address", "localhost"), "", "the address is 'localhost', wanted host:port"),
    (("affine", "--timeout-seconds", "0"), "", "timeout_seconds is 0.0, wanted a positive number"),
]


def test_wrong_input_is_one_line_and_exit_code_2(address: str, call: Call) -> None:
    """The line says what came and what was wanted; standard output stays empty."""
    for arguments, stdin, wanted in WRONG:
        code, out, err = call("predict", *arguments, stdin=stdin)
        assert (code, out) == (2, ""), arguments
        assert err.startswith("kan-client: ")
        assert err.count("\n") == 1
        assert wanted in err


def test_closed_standard_input_is_one_line_and_exit_code_2(nobody: str) -> None:
    """As wrong input is, and no server is asked."""
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "predict", "affine", "-"]
    done = subprocess.run(closed, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch("kan-client: standard input is closed.*\n", done.stderr)


def test_closed_standard_output_is_one_line_and_exit_code_2(nobody: str) -> None:
    """No traceback, for any command."""
    for arguments in (["predict", "affine", "-"], ["models"]):
        closed = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, *arguments]
        done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 2
        assert re.fullmatch("kan-client: standard output is closed.*\n", done.stderr)


def test_closed_standard_error_ends_no_table(address: str) -> None:
    """Messages are lost, answers are not."""
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *COMMAND, "predict", "affine", "--target", "y"]
    done = subprocess.run(
        closed, input="x0,x1,x2,x3,y\n1,2,3,4,5\n1,2,x,4,5\n", stdout=subprocess.PIPE, text=True, check=False
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (3, 3)


@pytest.mark.parametrize("arguments", [("predict",), ("predict", "m", "--model-version", "0"), ("fly",), ()])
def test_a_wrong_command_line_is_exit_code_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    """As argparse says it."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "kan-client" in capsys.readouterr().err


@pytest.mark.parametrize("given", [("--set=x0=3",), ("--set", "x0=3", "--set", "x1=4"), ("--set", "x0=3", "x1=4")])
def test_set_is_no_way_to_give_values(capsys: pytest.CaptureFixture[str], given: tuple[str, ...]) -> None:
    """Other commands have --set NAME=VALUE. The line says what --set is here and where values come from."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["predict", "affine", *given])
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "--set takes no value: it prints the set of classes" in told
    assert "kan-client predict MODEL --format jsonl" in told


def test_no_server_is_one_line_and_exit_code_1(nobody: str) -> None:
    """Nothing else is printed, by gRPC either."""
    for arguments in (["health"], ["predict", "digits"]):
        done = subprocess.run(
            [*COMMAND, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"kan-client: no server at {nobody}: is kan-serve running?")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["models"], ["health"], ["describe", "m"], ["predict", "m"], ["explain", "m"]])
@pytest.mark.parametrize(
    "arguments", [("--token", "kan_secret"), ("--token=kan_secret",), ("--token-file", "kan_secret")]
)
def test_a_token_in_place_of_its_file_is_not_shown(
    capsys: pytest.CaptureFixture[str], command: list[str], arguments: tuple[str, ...]
) -> None:
    """The command ends with 2, and says which flag was wrong."""
    try:
        code: object = cli.main([*command, *arguments])
    except SystemExit as ended:
        code = ended.code
    shown = capsys.readouterr()
    assert code == 2
    assert "--token" in shown.err
    assert "secret" not in shown.out + shown.err


def test_a_token_file_that_is_not_there_is_named_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With the reason in words, without the number of the error."""
    absent = str(tmp_path / "nix.token")
    assert cli.main(["models", "--token-file", absent]) == 2
    told = f"the token file {absent!r} cannot be read: No such file or directory\n"
    assert capsys.readouterr().err.endswith(told)


def test_a_reader_that_leaves_is_no_mistake(address: str, tmp_path: Path) -> None:
    """`| head -1` ends it quietly, long before the end of the file."""
    path = tmp_path / "large.csv"
    path.write_text("x0,x1,x2,x3\n" + "1,2,3,4\n" * 200_000)
    with subprocess.Popen(
        [*COMMAND, "predict", "affine", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "y\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 128 + signal.SIGPIPE


def test_a_full_disk_is_one_line_and_exit_code_1(address: str) -> None:
    """Not a traceback, and not a second complaint at exit."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, "models"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch("kan-client: .*No space left.*\n", done.stderr)


def test_a_disk_that_fills_up_keeps_no_part_of_a_table(address: str, tmp_path: Path) -> None:
    """A bound on the size of files stands for the disk."""
    path = tmp_path / "answers.csv"
    bounded = ["sh", "-c", 'ulimit -f 16; exec "$@" > "$0"', str(path), *COMMAND, "predict", "affine"]
    rows = "x0,x1,x2,x3\n" + "1,2,3,4\n" * 20_000
    done = subprocess.run(bounded, input=rows, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, path.read_text()) == (1, "")
    assert re.fullmatch("kan-client: .*File too large\n", done.stderr)


def test_answers_are_utf8_whatever_the_locale(kan_serve: Start, write_model: WriteModel) -> None:
    """As the input is; a label beyond Latin-1 is no crash."""
    write_model("classifier", change=lambda manifest: manifest.classes.__setitem__(slice(0, 3), ["赤", "緑", "青"]))
    done = subprocess.run(
        [*COMMAND, "predict", "classifier", "--address", kan_serve().grpc],
        input=b"x0,x1,x2,x3\n1,2,3,4\n",
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("utf-8").startswith("y,probability\n青,0.99")


@pytest.mark.usefixtures("foreground")
def test_an_interrupt_is_quiet_and_exit_code_130(address: str) -> None:
    """Ctrl-C while it waits for standard input."""
    with subprocess.Popen(
        [*COMMAND, "predict", "affine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        _await_open_input(process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def _await_open_input(process: "subprocess.Popen[str]") -> None:
    """Until the process sleeps in a read of its standard input: it then has its manifest and no row."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        # Linux tells which system call a process is in: 0 is read on x86-64, 63 on arm64; then comes the descriptor.
        try:
            words = Path(f"/proc/{process.pid}/syscall").read_text().split()
        except OSError:
            pytest.skip("needs Linux's /proc/<pid>/syscall")
        if words[:2] in (["0", "0x0"], ["63", "0x0"]):
            return
    pytest.fail("never read its standard input")


def test_people_at_a_terminal_get_a_table(address: str) -> None:
    """Columns in line, rows numbered; short numbers."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "predict", "classifier"], stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(theirs)
        _, err = process.communicate("x0,x1,x2,x3\n1,2,3,4\n", timeout=60)
        out = os.read(ours, 10_000).decode()
    os.close(ours)
    assert err == ""
    assert [line.split() for line in out.splitlines()] == [["row", "y", "probability"], ["1", "blue", "0.994441"]]

"""kan-serve token: one command from a name to a token that works."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from service.access.token_file import parse_tokens
from service.cli import main
from service.client import Client
from service.protocols.methods import paths
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start

_PATHS = paths()


def _make(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["token", *arguments]) == 0
    return capsys.readouterr().out.strip()


def test_a_token_is_printed_and_its_hash_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file holds the hash and the rights, only its owner may read it, and the token is printed once."""
    file = tmp_path / "tokens.toml"
    one = _make(capsys, "one", str(file))
    two = _make(
        *(capsys, "two", str(file), "--models", "a, b-*", "--models", "c", "--methods", "Predict"),
        *("--rows-per-second", "10", "--expires", "2027-01-31"),
    )
    assert one != two
    first, second = parse_tokens(file.read_bytes(), _PATHS)
    assert (first.name, first.digest) == ("one", hashlib.sha256(one.encode()).digest())
    assert (second.models, second.methods, second.rows_per_second) == (("a", "b-*", "c"), ("Predict",), 10)
    assert second.digest == hashlib.sha256(two.encode()).digest()
    assert one not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_the_maker_should_know_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that was not there, as with a misspelt name; rights without which kan-client cannot predict."""
    file = tmp_path / "tokns.toml"
    for arguments, told in [
        (["one"], f"kan-serve token: made the new token file '{file}'; a server reads it with --tokens\n"),
        (["two"], ""),
        (["three", "--methods", "GetModel,Predict"], ""),
        (["four", "--methods", "ModelInfer"], ""),
    ]:
        assert main(["token", arguments[0], str(file), *arguments[1:]]) == 0
        assert capsys.readouterr().err == told
    assert main(["token", "five", str(file), "--methods", "Predict,Explain"]) == 0
    assert "may call Predict, Explain and not GetModel" in capsys.readouterr().err
    assert main(["token", "six.a", str(file)]) == 0
    assert [line for line in file.read_text().splitlines() if line.startswith("[")][-2:] == [
        "[tokens.five]",
        '[tokens."six.a"]',
    ]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["one"], "there is a token 'one' already. --replace makes a new one"),
        (["a b"], "token name 'a b'"),
        (['a"]\n[x'], "token name"),
        (["two", "--expires", "soon"], "wanted a date such as 2027-01-31"),
        (["two", "--expires", "2020-02-03"], "it expires at 2020-02-03 00:00 UTC, and now it is 20"),
        (["two", "--rows-per-second", "-1"], "rows_per_second is -1.0"),
        (["two", "--methods", "Predct"], "did you mean Predict or PredictStream?"),
        (["two", "--methods", "GetModel,inference.GRPCInferenceService/ModelInf"], "Service/ModelInfer"),
        (["two", "--methods", "zzz"], "the methods are Check, "),
        (["two", "--models", "a,b c"], "--models has 'b c'"),
        (["two", "--models", "a,,b"], "--models has ''"),
        (["two", "--models", "../a"], "--models has '../a'"),
        (["two", "--replace"], "there is no token 'two' to replace; there is one"),
        (["one", "--replace", "--models", "a"], "keeps the rights"),
    ],
)
def test_a_mistake_leaves_the_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    """A name that is taken or invalid, or a wrong value: exit code 2, one line that says so, the file as it was."""
    file = tmp_path / "tokens.toml"
    _make(capsys, "one", str(file))
    before = file.read_bytes()
    assert main(["token", arguments[0], str(file), *arguments[1:]]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert word in err
    assert (file.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (before, ["tokens.toml"])


def test_lists_swallow_no_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Flags may stand before the name and the file."""
    file = tmp_path / "tokens.toml"
    _make(capsys, "--models", "digits", "--methods", "Predict", "carol", str(file))
    (token,) = parse_tokens(file.read_bytes(), _PATHS)
    assert (token.name, token.models, token.methods) == ("carol", ("digits",), ("Predict",))


def test_a_replaced_token_keeps_its_rights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the hash changes; comments and other tables stay as they are."""
    file = tmp_path / "tokens.toml"
    old = _make(capsys, "one", str(file), "--models", "a")
    _make(capsys, "two", str(file))
    file.write_text(f"# ours\n{file.read_text()}")
    before = file.read_text()
    new = _make(capsys, "one", str(file), "--replace")
    was, now = (hashlib.sha256(each.encode()).hexdigest() for each in (old, new))
    assert file.read_text() == before.replace(was, now) != before


def test_a_server_knows_the_methods_that_the_command_knows(
    tmp_path: Path, write_model: WriteModel, kan_serve: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token for every method by its name is taken by a server, and calls one."""
    write_model("affine")
    file = tmp_path / "tokens.toml"
    token = _make(capsys, "all", str(file), "--methods", ",".join(path.removeprefix("/") for path in _PATHS))
    with Client(kan_serve("--tokens", str(file)).grpc, token=token) as client:
        assert len(client.predict("affine", np.ones((3, 4))).values) == 3


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is one line and exit code 1."""
    assert main(["token", "one", str(tmp_path / "absent" / "tokens.toml")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("its folder is not there")


def test_a_file_that_is_broken_already(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No argument is wrong: exit code 1, as of a server that starts with the file."""
    file = tmp_path / "tokens.toml"
    file.write_text("[tokens")
    assert main(["token", "one", str(file)]) == 1
    assert "it is no TOML" in capsys.readouterr().err
    assert file.read_text() == "[tokens"


def test_a_reader_never_sees_half_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While tokens are added, every read of the file is valid."""
    file = tmp_path / "tokens.toml"
    _make(capsys, "first", str(file))
    done = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not done.is_set():
            seen.append(len(parse_tokens(file.read_bytes(), None)))

    thread = threading.Thread(target=read)
    thread.start()
    for each in range(20):
        _make(capsys, f"token-{each}", str(file))
    done.set()
    thread.join()
    assert seen == sorted(seen)
    assert len(parse_tokens(file.read_bytes(), None)) == 21


def test_tokens_made_at_once_are_all_kept(tmp_path: Path) -> None:
    """Several commands at once lose no token."""
    file = tmp_path / "tokens.toml"
    threads = [threading.Thread(target=main, args=[["token", f"token-{each}", str(file)]]) for each in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(parse_tokens(file.read_bytes(), None)) == 8

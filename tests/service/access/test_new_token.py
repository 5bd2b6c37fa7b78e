"""kan-serve token: one command from a name to a token that works."""

import hashlib
import threading
from pathlib import Path

import pytest

from service.access.token_file import parse_tokens
from service.cli import main


def _make(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["token", *arguments]) == 0
    return capsys.readouterr().out.strip()


def test_a_token_is_printed_and_its_hash_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file holds the hash and the rights, only its owner may read it, and the token is printed once."""
    file = tmp_path / "tokens.toml"
    one = _make(capsys, "one", str(file))
    two = _make(
        *(capsys, "two", str(file), "--models", "a", "b-*", "--methods", "Predict"),
        *("--rows-per-second", "10", "--expires", "2027-01-31"),
    )
    assert one != two
    first, second = parse_tokens(file.read_bytes(), ["/a.S/Predict"])
    assert (first.name, first.digest) == ("one", hashlib.sha256(one.encode()).digest())
    assert (second.models, second.methods, second.rows_per_second) == (("a", "b-*"), ("Predict",), 10)
    assert second.digest == hashlib.sha256(two.encode()).digest()
    assert one not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "arguments", [["one"], ["a b"], ['a"]\n[x'], ["two", "--expires", "soon"], ["two", "--rows-per-second", "-1"]]
)
def test_a_mistake_leaves_the_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """A name that is taken or invalid, or a wrong value: exit code 1, one line, and the file as it was."""
    file = tmp_path / "tokens.toml"
    _make(capsys, "one", str(file))
    before = file.read_bytes()
    assert main(["token", arguments[0], str(file), *arguments[1:]]) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert (file.read_bytes(), [each.name for each in tmp_path.iterdir()]) == (before, ["tokens.toml"])


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is one line and exit code 1."""
    assert main(["token", "one", str(tmp_path / "absent" / "tokens.toml")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


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

"""`kan-client predict` with a token whose quota is smaller than the file."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.kit.callers.tokens import secret, write_tokens
from tests.kit.models.attributions import add_attribution
from tests.kit.models.graphs import KINDS
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import KanServe, starter

_COMMAND = [sys.executable, "-m", "service.client.cli"]
_NUMBERS = np.random.default_rng(0).normal(size=(1500, 4)).round(3).astype(np.float32)


@pytest.fixture(scope="module")
def server(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A server with a token for 500 rows a second, and some for one row in 1000 seconds."""
    folder = tmp_path_factory.mktemp("quota")
    add_attribution(write_version(folder / "models", "affine"))
    quotas = {"some": 500, "few": 0.001, "predict": 0.001, "explain": 0.001}
    tables = {name: f"rows_per_second = {quota}" for name, quota in quotas.items()}
    tokens = write_tokens(folder / "tokens.toml", **tables)
    with starter(folder / "models", folder) as start:
        yield start("--frontend", frontend, "--tokens", str(tokens))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Rows."""
    path = tmp_path / "rows.csv"
    lines = [",".join(f"{value:.3f}" for value in row) for row in _NUMBERS.astype(np.float64)]
    path.write_text("\n".join(["x0,x1,x2,x3", *lines]))
    return path


def _start(server: KanServe, name: str, words: Sequence[str], output: Path) -> "subprocess.Popen[str]":
    with output.open("a") as out:
        return subprocess.Popen(
            [*_COMMAND, *words, "--address", server.grpc],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "KAN_TOKEN": secret(name)},
        )


def _run(server: KanServe, name: str, words: Sequence[str], output: Path) -> tuple[int, str]:
    process = _start(server, name, words, output)
    _, err = process.communicate(timeout=90)
    return process.returncode, err


def test_a_file_is_answered_as_slowly_as_the_quota_allows(server: KanServe, file: Path, tmp_path: Path) -> None:
    """Every row is answered once, in order."""
    output = tmp_path / "answers.csv"
    code, err = _run(server, "some", ["predict", "affine", str(file)], output)
    assert code == 0, err
    answers = np.array(output.read_text().splitlines()[1:], float)
    np.testing.assert_allclose(answers, KINDS["affine"].answer(_NUMBERS)[:, 0], atol=1e-4)
    assert server.sample("kan_rejected_total", reason="quota") > 0


def test_a_limit_of_the_caller_ends_the_table_and_the_rest_can_be_had(
    server: KanServe, file: Path, tmp_path: Path
) -> None:
    """The answered rows stay in the file; the flags that the message names give the others."""
    output = tmp_path / "answers.csv"
    words = ["predict", "affine", str(file)]
    code, err = _run(server, "few", [*words, "--timeout-seconds", "5"], output)
    rows = len(output.read_text().splitlines()) - 1
    assert code == 1
    assert rows == 512
    how, why = err.splitlines()
    flags = f"--skip-rows {rows} --model-version 1"
    assert how == (
        f"kan-client: 512 of 1,500 rows are answered; for the rest add {flags} to the command, and append its answers "
        "(>> FILE)"
    )
    assert "rows a second; send it again after" in why
    assert _run(server, "some", [*words, *flags.split()], output)[0] == 0
    answers = np.array(output.read_text().splitlines()[1:], float)
    np.testing.assert_allclose(answers, KINDS["affine"].answer(_NUMBERS)[:, 0], atol=1e-4)


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("command", ["predict", "explain"])
def test_a_long_wait_is_told_and_may_be_interrupted(server: KanServe, file: Path, tmp_path: Path, command: str) -> None:
    """The message says how many rows are answered and why it waits; Ctrl-C leaves them in the file."""
    output = tmp_path / "answers.csv"
    with _start(server, command, [command, "affine", str(file)], output) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        rest = process.stderr.read()
    assert "rows are answered; waiting " in line
    assert f"token '{command}' may send 0.001 rows a second" in line
    if command == "predict":
        assert "interrupted: 512 of 1,500 rows are answered" in rest
        assert len(output.read_text().splitlines()) == 513

"""The commands of docs/security.md, run as a reader would, and the methods that it names for each."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from service.client.cli import main as kan_client
from tests.kit.callers.tokens import secret, write_tokens
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start
from tests.kit.waiting import wait_for

_PAGE = Path(__file__).parents[3] / "docs" / "security.md"


def _commands(heading: str) -> list[str]:
    """The indented lines below a heading."""
    section = _PAGE.read_text().partition(f"\n{heading}\n")[2].partition("\n#")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


class _Shell:
    """Runs commands in a folder, with the programs of this environment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        programs = {"kan-serve": "service.cli", "kan-client": "service.client.cli"}
        start = f"{shlex.quote(sys.executable)} -m"
        self._before = "".join(f'{name}() {{ {start} {module} "$@"; }}\n' for name, module in programs.items())

    def run(self, lines: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the lines; one that fails ends them."""
        return subprocess.run(
            ["bash", "-ec", self._before + "\n".join(lines)],
            cwd=self._folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Shell:
    """A shell in an empty folder."""
    folder = tmp_path / "reader"
    (folder / "runs" / "digits").mkdir(parents=True)
    (folder / "runs" / "digits" / "held_out.csv").write_text("x0,x1,x2,x3\n1,2,3,4\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    return _Shell(folder)


def test_the_commands_of_the_page_work(shell: _Shell, start: Start, write_model: WriteModel, tmp_path: Path) -> None:
    """Certificates, a token, a start with both, answers; then the token is rotated in both ways."""
    write_model("affine", name="digits")
    folder = tmp_path / "reader"
    *prepare, serve, models, predict = _commands("## Try it")
    made = shell.run(prepare)
    assert made.returncode == 0, made.stderr
    server = start(*shlex.split(serve)[1:], folder=folder)
    asked = shell.run([models, predict], KAN_ADDRESS=server.grpc)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert "digits" in asked.stdout
    assert (folder / "answers.csv").read_text().startswith("y\n")

    *by_name, replace = _commands("### Rotate a token")
    rotated = shell.run(by_name, EDITOR="sed -i /tokens.alice]/,/^$/d")
    assert rotated.returncode == 0, rotated.stderr
    assert (folder / "tokens.toml").read_text().count("sha256") == 1
    wait_for(lambda: shell.run([models], KAN_ADDRESS=server.grpc).returncode == 2, "the old token to be refused")
    token = rotated.stdout.strip()
    assert (
        "digits" in shell.run(["kan-client models --ca authority.crt"], KAN_ADDRESS=server.grpc, KAN_TOKEN=token).stdout
    )

    replaced = shell.run([replace.replace("alice", "alice-2")])
    assert replaced.returncode == 0, replaced.stderr
    ask = ["kan-client models --ca authority.crt"]
    wait_for(
        lambda: shell.run(ask, KAN_ADDRESS=server.grpc, KAN_TOKEN=replaced.stdout.strip()).returncode == 0,
        "the new token to be taken",
    )
    refused = shell.run(ask, KAN_ADDRESS=server.grpc, KAN_TOKEN=token)
    assert (refused.returncode, "the token is unknown here" in refused.stderr) == (2, True)
    assert "give it with --token-file or KAN_TOKEN" in shell.run(ask, KAN_ADDRESS=server.grpc).stderr
    plain = shell.run(["kan-client models"], KAN_ADDRESS=server.grpc)
    assert "give --ca" in plain.stderr
    log = server.stop()[1]
    assert all(line.startswith("20") for line in log.splitlines()), log  # no line of gRPC's own


def test_a_token_of_the_named_methods_serves_each_command(
    start: Start,
    write_model: WriteModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """None of them is refused for a method; with the right to another method alone, each of them is."""
    write_model("affine")
    needs = dict(re.findall(r"^\| `kan-client (\w+)` \| (.+) \|$", _PAGE.read_text(), re.MULTILINE))
    assert sorted(needs) == ["describe", "explain", "health", "models", "predict"]
    tables = {name: f"methods = [{methods.replace('`', chr(34))}]" for name, methods in needs.items()}
    tokens = write_tokens(tmp_path / "tokens.toml", other='methods = ["RepositoryIndex"]', **tables)
    monkeypatch.setenv("KAN_ADDRESS", start("--tokens", str(tokens)).grpc)
    (tmp_path / "rows.csv").write_text("x0,x1,x2,x3\n1,2,3,4\n")
    table = ["affine", str(tmp_path / "rows.csv")]
    of_command = {"predict": table, "explain": table, "describe": ["affine"]}
    for name in needs:
        for token, is_refused in ((name, False), ("other", True)):
            monkeypatch.setenv("KAN_TOKEN", secret(token))
            code = kan_client([name, *of_command.get(name, [])])
            told = capsys.readouterr().err
            assert ("may not call" in told) is is_refused, (name, token, told)
            assert code == 2 if is_refused else code == 0 or name == "explain", (name, told)

"""The Tab key, in a real bash with argcomplete's function."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.models.repository import write_version

pytest.importorskip("argcomplete")
BASH = shutil.which("bash")
BIN = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash")

_PRESS_TAB = """
eval "$(register-python-argcomplete kan-train kan-serve kan-client)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
words=($1) COMP_CWORD=$((${#words[@]} - 1)) COMP_WORDS=("${words[@]}")
_python_argcomplete "${words[0]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def press_tab(line: str, folder: Path) -> set[str]:
    """The words that bash offers after a line, without the spaces after them."""
    assert BASH is not None
    done = subprocess.run(
        [BASH, "--norc", "-c", _PRESS_TAB, "bash", line],
        cwd=folder,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return {word.strip() for word in done.stdout.splitlines()}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kan-train ro", {"rollback"}),
        ("kan-train run --re", {"--resume"}),
        ("kan-train import pyk", {"pykan"}),
        ("kan-train rollback aff", {"affine"}),
        ("kan-serve --grpc-p", {"--grpc-port"}),
        ("kan-client pre", {"predict"}),
    ],
)
def test_the_shell_completes_commands_flags_choices_and_models(line: str, words: set[str], tmp_path: Path) -> None:
    """A program answers with its own words; kan-train knows the models of the repository."""
    write_version(tmp_path / "models", "affine")
    (tmp_path / "models" / "afford").mkdir()  # no model: it holds no version
    assert press_tab(line, tmp_path) == words


def test_an_absent_repository_offers_nothing(tmp_path: Path) -> None:
    """Completion prints no traceback into the line that somebody types."""
    assert press_tab("kan-train rollback aff", tmp_path) == {""}

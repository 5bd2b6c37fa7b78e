"""The programs as modules, for where there are no scripts."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("module", "program"),
    [
        ("training", "kan-train"),
        ("training.cli", "kan-train"),
        ("service", "kan-serve"),
        ("service.client", "kan-client"),
    ],
)
def test_the_module_is_the_command(module: str, program: str) -> None:
    """``python -m training`` is kan-train, and ends with its exit code; so are the others."""
    version_of = [sys.executable, "-m", module, "--version"]
    done = subprocess.run(version_of, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"{program} {version('kan-serving')}\n")
    done = subprocess.run([sys.executable, "-m", module, "--none"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert f"usage: {program}" in done.stderr

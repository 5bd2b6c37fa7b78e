"""The image holds what serving needs, runs as nobody, and gets signals itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


@pytest.fixture
def stages() -> dict[str, str]:
    """The instructions of each stage by its name, "" for the image that is shipped; comments gone, lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text()).replace("\\\n", " ")
    found = {}
    for part in re.split(r"(?m)^FROM ", text)[1:]:
        first, _, rest = part.partition("\n")
        found[first.partition(" AS ")[2]] = f"FROM {first}\n{rest}"
    return found


def test_only_the_serve_extra_is_installed(stages: dict[str, str]) -> None:
    """The default extra is [serve], which knows no torch; the base is pinned by tag."""
    assert "ARG EXTRA=serve\n" in stages[""]
    assert '[${EXTRA}]"' in stages[""]
    assert stages[""].startswith("FROM base\n")
    assert stages["base"].startswith("FROM python:3.13-slim AS base\n")
    assert stages["build"].startswith("FROM python:3.13-slim AS build\n")
    project = (ROOT / "pyproject.toml").read_text()
    serve = project.split("\nserve = [")[1].split("]\n")[0]
    assert "torch" not in serve
    assert "train" not in serve


def test_it_runs_as_nobody_and_gets_sigterm(stages: dict[str, str]) -> None:
    """Numeric users that are not root, as Kubernetes wants it; exec form, so that signals arrive; no telemetry."""
    for stage, program in (("", "kan-serve"), ("train", "kan-train")):
        user = re.search(r"(?m)^USER (\d+)", stages[stage])
        assert user is not None
        assert int(user[1]) > 0
        assert re.search(rf'(?m)^ENTRYPOINT \["{program}"\]', stages[stage])
    assert re.search(r'(?m)CMD \["python", "-c", ".*127\.0\.0\.1:8002/readyz', stages[""])
    assert "ORT_DISABLE_TELEMETRY=1" in stages["base"]


@pytest.mark.deploy
def test_hadolint_finds_nothing() -> None:
    """No rule is switched off."""
    subprocess.run([Path(sys.executable).parent / "hadolint", DOCKERFILE], check=True, timeout=60)

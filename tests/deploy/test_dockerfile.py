"""The image holds what serving needs, runs as nobody, and gets signals itself."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def final_stage() -> str:
    """The instructions of the image that is shipped, continuation lines joined, comments gone."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text())
    return re.split(r"(?m)^FROM ", text.replace("\\\n", " "))[-1]


def test_only_the_serve_extra_is_installed(final_stage: str) -> None:
    """The default extra is [serve], which knows no torch; the base is pinned by tag."""
    assert "ARG EXTRA=serve\n" in final_stage
    assert '[${EXTRA}]"' in final_stage
    assert final_stage.startswith("python:3.13-slim\n")
    project = (ROOT / "pyproject.toml").read_text()
    serve = project.split("\nserve = [")[1].split("]\n")[0]
    assert "torch" not in serve
    assert "train" not in serve


def test_it_runs_as_nobody_and_gets_sigterm(final_stage: str) -> None:
    """A numeric user that is not root, as Kubernetes wants it; exec form, so that signals arrive; no telemetry."""
    user = re.search(r"(?m)^USER (\d+)", final_stage)
    assert user is not None
    assert int(user[1]) > 0
    assert re.search(r'(?m)^ENTRYPOINT \["kan-serve"\]', final_stage)
    assert re.search(r'(?m)CMD \["kan-client", "health"', final_stage)
    assert "ORT_DISABLE_TELEMETRY=1" in final_stage

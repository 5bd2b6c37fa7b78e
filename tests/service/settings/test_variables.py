"""Which variables KAN_… are known."""

import re
from pathlib import Path

import pytest

from service.settings import FLAGS, variable
from service.settings.variables import unknown_variables

_ROOT = Path(__file__).parents[3]


def test_every_variable_of_the_project_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the client, the compose files and the documentation name is no typing error."""
    files = [*_ROOT.glob("docs/*.md"), *_ROOT.glob("deploy/*.yaml"), _ROOT / "README.md", _ROOT / "Dockerfile"]
    text = "".join(file.read_text() for file in [*files, _ROOT / "service/client/cli.py"])
    named = set(re.findall(r"\bKAN_[A-Z_]+\b", text)) | {"KAN_TOKEN_FILE", "KAN_SERVE_WORKER", "KAN_TESTS_GATE"}
    assert {"KAN_CERTIFICATES", "KAN_EXTRA", "KAN_TOKEN", "KAN_GRPC_PORT"} <= named
    for name in named | {variable(each) for each in FLAGS}:
        monkeypatch.setenv(name, "x")
    assert unknown_variables() == ""


def test_the_variables_of_kubernetes_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service kan-front of the namespace sets several in each pod; without it the same names are unknown."""
    monkeypatch.setenv("KAN_FRONT_PORT_8001_TCP", "tcp://10.0.0.1:8001")
    assert "KAN_FRONT_PORT_8001_TCP" in unknown_variables()
    monkeypatch.setenv("KAN_FRONT_SERVICE_HOST", "10.0.0.1")
    assert unknown_variables() == ""


def test_many_unknown_variables_are_one_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five are named and the others counted; only a name that is near gets a hint."""
    for number in range(9):
        monkeypatch.setenv(f"KAN_{'X' * 500}{number}", "x")
    monkeypatch.setenv("KAN_GRPC_PROT", "x")
    told = unknown_variables()
    assert told.count("did you mean") == 1
    assert "KAN_GRPC_PROT (did you mean KAN_GRPC_PORT?)" in told
    assert told.endswith("5 more")
    assert len(told) < 700

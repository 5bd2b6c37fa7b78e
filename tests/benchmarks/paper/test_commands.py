"""The experiments as commands."""

import importlib
from pathlib import Path

import pytest

from benchmarks.paper.__main__ import main as measure


@pytest.mark.parametrize("name", ["digits_pruned", "five_peaks", "staircase", "symbolic_recovery"])
def test_help_tells_what_an_experiment_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And runs nothing; an argument that it does not know is an error."""
    main = importlib.import_module(f"benchmarks.paper.{name}").main
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert f"python -m benchmarks.paper.{name}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["--fast"])
    assert ended.value.code == 2


def test_only_the_named_contenders_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No run of the others is made: without any of that name there is nothing to show."""
    monkeypatch.chdir(tmp_path)
    assert measure(["noise", "--quick", "--contenders", "nobody"]) == 0
    assert capsys.readouterr().out == "noise: too few runs are done to show anything\n"
    assert not list(tmp_path.rglob("*.json"))

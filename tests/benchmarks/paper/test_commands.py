"""The experiments as commands."""

import importlib

import pytest


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

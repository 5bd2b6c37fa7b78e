"""Each experiment runs from the command to the page's part."""

from pathlib import Path

import pytest

from benchmarks.paper.__main__ import main
from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.outcomes import Outcomes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_quick_run_is_shown(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes every run of its plan and a table; the results are kept, so a second call makes none."""
    monkeypatch.chdir(tmp_path)
    experiment = EXPERIMENTS[name]
    if name in ("language", "vision"):
        pytest.importorskip("onnxscript", reason="only the extra [bench] has it: torch.onnx exports by it")
    assert main([name, "--quick"]) == 0
    assert "|--" in capsys.readouterr().out
    found = Outcomes(tmp_path / "runs" / "paper" / f"{name}.json", experiment).load()
    assert [each.run for each in found] == list(experiment.plan(True))
    assert main([name, "--quick"]) == 0
    assert "CPU s" not in capsys.readouterr().err
    assert experiment.summary(found).endswith(".") or experiment.summary(found) == ""

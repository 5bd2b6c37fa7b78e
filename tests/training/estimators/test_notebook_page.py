"""docs/notebook.md does what it says: its code runs, its scores are those of its table."""

import contextlib
import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.server.kan_serve import serving

PAGE = Path(__file__).parents[3] / "docs" / "notebook.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:8001"


def run(code: str, names: dict[str, Any]) -> str:
    """Run a block; gives what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        exec(compile(code, str(PAGE), "exec"), names)
    return printed.getvalue()


def score_in_table(row: str) -> float:
    """The score that the page gives."""
    [found] = re.findall(rf"^\| {re.escape(row)} \| (\S+) \|$", PAGE.read_text(), re.MULTILINE)
    return float(found)


def printed_score(printed: str) -> float:
    """The score behind R² in the last line."""
    return float(printed.splitlines()[-1].rpartition("R² ")[2])


def test_the_whole_way_is_twelve_lines() -> None:
    """From the imports to the served answer."""
    assert len([line for block in BLOCKS[:2] for line in block.splitlines() if line.strip()]) == 12


@pytest.mark.slow
def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit, an effect, a version; the server's answers are the model's; the two others beside it."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    ours, asked, trees, pykan = BLOCKS
    assert printed_score(run(ours, names)) == pytest.approx(score_in_table("`KANRegressor()`"), abs=0.03)
    assert (tmp_path / "models" / "diabetes" / "1" / "model.onnx").exists()
    with serving(tmp_path / "models", log=tmp_path / "log") as server:
        *lines, question = asked.replace(ADDRESS, server.grpc).strip().splitlines()
        assert server.grpc in "\n".join(lines)
        run("\n".join(lines), names)
        answers = eval(question, names)
        names["client"].close()
    np.testing.assert_allclose(answers[:, 0], names["model"].predict(names["X_test"].head()), rtol=1e-4)
    assert printed_score(run(trees, names)) == pytest.approx(score_in_table("HistGB"), abs=0.03)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pykan's own.
        assert printed_score(run(pykan, names)) == pytest.approx(score_in_table("pykan, `[10, 1]`"), abs=0.03)

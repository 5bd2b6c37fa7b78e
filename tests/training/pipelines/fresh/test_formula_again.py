"""`kan-train formula`: the steps after a finished fit are taken again."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from training.cli import main
from training.pipelines.fresh.kept_run import keep_run, read_run
from training.pipelines.run import Run
from training.pipelines.run_folder import RunError, RunFolder
from training.pipelines.train import train
from training.pipelines.watcher import Watcher
from training.recipe.config import Recipe, parse_recipe


@pytest.fixture
def finished(wave: Callable[[str], Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a finished run of 3·sin(a) + b + 7, whose recipe has no [symbolic]."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "wave"
    train(Run(wave("[prune]\n"), tmp_path / "models", RunFolder(folder)), Watcher())
    return folder


def test_the_formula_of_a_finished_run_is_told_and_nothing_is_published(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With sin it is the truth; without it no formula, and the message names column and bound: this bound gives one."""
    before = sorted(path.name for path in (tmp_path / "models" / "wave").iterdir())
    assert main(["formula", str(finished), "--functions", "x,sin", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in told] == ["formula"]
    assert "sin(" in told[0]["formula"]
    assert told[0]["formula_metrics"]["test_rmse"] < 0.1
    assert main(["formula", str(finished), "--functions", "x,x^2", "--min-r2", "0.999"]) == 0
    text, progress = capsys.readouterr()
    assert re.search(r"^symbolic: \d edges?, all functions on each: about \d s$", progress, re.MULTILINE)
    assert "no formula of the whole network" in text
    assert "layer 0 from a to 0 (nearest: " in text
    looser = re.search(r"to take all of them: kan-train formula RUN (--min-r2) (0\.\d+)$", text, re.MULTILINE)
    assert looser is not None
    assert main(["formula", str(finished), "--functions", "x,x^2", *looser.groups()]) == 0
    text = capsys.readouterr().out
    assert re.search(r"^y = .*a", text, re.MULTILINE)
    assert re.search(r"^  ± one standard error of this form: y = .*\(\S+ ± \S+\).*a", text, re.MULTILINE)
    assert "no formula of the whole network" not in text
    assert sorted(path.name for path in (tmp_path / "models" / "wave").iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-r2", "2"], "less than or equal to 1"),
        (["--functions", "sinus"], 'functions has "sinus"'),
        (["--seeds", "3", "--choice", "by-edge"], "only with choice"),
        (["--min-r2", "nan"], "--min-r2 nan"),
    ],
)
def test_a_wrong_bound_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Before the run is looked at."""
    assert main(["formula", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_a_kept_fit_or_with_another_table_it_is_refused(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Functions found on other rows would be no formula of this network."""
    assert main(["formula", str(tmp_path)]) == 2
    assert "no finished fit is kept here" in capsys.readouterr().err
    table = tmp_path / "wave.csv"
    assert main(["formula", str(table)]) == 2  # Or its recipe, which `kan-train run` takes.
    assert "wanted a folder runs/NAME" in capsys.readouterr().err
    table.write_text(table.read_text().replace("0", "1"))
    assert main(["formula", str(finished)]) == 2
    assert "the table has changed since the run" in capsys.readouterr().err
    (finished / "fitted.json").write_text("{}")
    assert main(["formula", str(finished)]) == 2
    assert "run its recipe again" in capsys.readouterr().err


def test_a_fit_that_could_not_be_kept_whole_is_no_finished_fit(finished: Path) -> None:
    """The network of one recipe is never read beside another recipe: the former pair is gone as well."""
    kept = read_run(finished)
    keep_run(finished, kept.kan, kept.recipe, kept.recipe.fit, kept.fingerprint)
    again = read_run(finished)
    assert (again.recipe, again.fingerprint) == (kept.recipe, kept.fingerprint)
    network = finished / "fitted.safetensors"
    network.unlink()
    network.mkdir()  # As a disk that is full: the network cannot be written.
    with pytest.raises(OSError, match="fitted"):
        keep_run(finished, kept.kan, kept.recipe, kept.recipe.fit, kept.fingerprint)
    with pytest.raises(RunError, match="no finished fit is kept here"):
        read_run(finished)


def test_keys_that_do_not_fit_the_run_are_refused(
    finished: Path, capsys: pytest.CaptureFixture[str], wave: Callable[[str], Recipe]
) -> None:
    """A search in context follows squared error alone; the message names the key of the recipe."""
    kept = read_run(finished)
    task = '[task]\nkind = "regression"\n'
    assert task in kept.recipe.text
    other = parse_recipe(
        kept.recipe.text.replace(task, f'{task}objective = "mae"\n'), folder=finished.parent.parent, name="wave.toml"
    )
    keep_run(finished, kept.kan, other, other.fit, kept.fingerprint)
    assert main(["formula", str(finished), "--choice", "in-context"]) == 2
    assert 'not with [task] objective = "mae"' in capsys.readouterr().err

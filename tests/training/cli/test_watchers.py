"""What --json tells while a run goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.cli import main

SEARCH = """
[ensemble]
members = 4
refit = true
[search]
[[search.candidates]]
hidden = [2]
[[search.candidates]]
hidden = [3]
"""


@pytest.fixture
def tell(
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[str], list[dict[str, Any]]]:
    """What a run tells whose recipe ends in these sections."""

    def run(sections: str) -> list[dict[str, Any]]:
        recipe = write_recipe(steps=2)
        recipe.write_text(recipe.read_text() + sections)
        monkeypatch.chdir(tmp_path)
        assert main(["run", str(recipe), "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


def test_a_search_and_its_refit_are_told_as_people_are_told(tell: Callable[[str], list[dict[str, Any]]]) -> None:
    """The rows of the validation part train too, and each evaluation says of which candidate and members it is."""
    told = tell(SEARCH)
    tables = {each["event"]: each for each in told if each["event"] in ("prepared", "refit")}
    rows = {name: (each["train_rows"], each["validation_rows"], each["test_rows"]) for name, each in tables.items()}
    assert rows == {"prepared": (160, 0, 40), "refit": (200, 0, 0)}
    assert all(each["out_of_fold"] for each in tables.values())
    evaluations = [each for each in told if each["event"] == "evaluation"]
    of_fit = [(each["candidate"], tuple(each["members"])) for each in evaluations if each["phase"] == "fit"]
    assert set(of_fit[:4]) == {(1, (1, 2)), (2, (1, 2))}
    assert {members for _, members in of_fit[4:]} == {(3, 4)}
    of_refit = [(each["candidate"], each["members"]) for each in evaluations if each["phase"] == "refit"]
    assert set(of_refit) == {(None, None)}


def test_rows_that_only_validate_are_told_apart(tell: Callable[[str], list[dict[str, Any]]]) -> None:
    """Without members no row that trains is left out, and there is no candidate."""
    prepared, *told = tell("")
    assert (prepared["train_rows"], prepared["validation_rows"], prepared["out_of_fold"]) == (130, 30, False)
    evaluations = [each for each in told if each["event"] == "evaluation"]
    assert {(each["phase"], each["candidate"], each["members"]) for each in evaluations} == {("fit", None, None)}


def test_the_two_fits_of_monotone_members_are_told_apart(
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both count their steps from 1; whoever takes the lowest loss wants that of the published members."""
    recipe = write_recipe(steps=2)
    text = recipe.read_text().replace("[network]\n", '[network]\nmonotone = { length = "up" }\n')
    recipe.write_text(text + "[ensemble]\nmembers = 2\n")
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(recipe), "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    evaluations = [(each["without_promise"], each["step"]) for each in told if each["event"] == "evaluation"]
    assert evaluations == [(True, 1), (True, 2), (False, 1), (False, 2)]

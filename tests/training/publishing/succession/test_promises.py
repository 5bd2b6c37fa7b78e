"""Promises of the newest version that the next one breaks are told before the fit, with the keys that keep them."""

import ast
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kan_api.v1.manifest_pb2 import Column, Feature, ModelManifest
from training.cli import main
from training.publishing.repository import published_versions
from training.publishing.succession.promises import compare_promises


def manifest(bounds: float = 0, sets: float | None = None, **directions: str) -> ModelManifest:
    """Version 3 of a model with these columns and promises; sets of 0: calibrated without sets."""
    made = ModelManifest(name="homes", version=3, columns=[Column(name=name) for name in directions])
    made.features.extend(Feature(name=name, column=name, monotone=way) for name, way in directions.items())
    if bounds:
        made.intervals.coverage = bounds
    if sets is not None:
        made.calibration.temperature = 1.5
    if sets:
        made.calibration.sets.coverage = sets
    return made


ALL = manifest(0.9, 0.8, age="up", price="down", rooms="")


@pytest.mark.parametrize(
    ("now", "texts"),
    [
        (ALL, []),
        (manifest(0.95, 0.85, age="up", price="down", rooms="up"), []),
        (
            manifest(0.9, 0.8, age="", price="up", rooms=""),
            [
                '"age": the answer never falls as it grows (now it may)',
                '"price": the answer never rises as it grows (now it never falls)',
            ],
        ),
        (
            manifest(0.5, 0.8, age="up", price="down", rooms=""),
            ["90 % of new rows lie between lower and upper (now 50 %)"],
        ),
        (
            manifest(0, 0, age="up", price="down", rooms=""),
            [
                "90 % of new rows lie between lower and upper (now there are no bounds)",
                "80 % of new rows have their class in the set (now there are no sets)",
            ],
        ),
        (
            manifest(0.9, None, age="up", price="down", rooms=""),
            [
                "its probabilities are calibrated (now they are not)",
                "80 % of new rows have their class in the set (now there are no sets)",
            ],
        ),
    ],
)
def test_each_broken_promise_is_told_and_no_other(now: ModelManifest, texts: list[str]) -> None:
    """One that is lost, turned round or made of fewer rows; a larger share or one more direction breaks none."""
    broken = compare_promises(ALL, now)
    assert list(broken.texts if broken else ()) == texts
    assert broken is None or str(broken).startswith("version 3 promises what the next one does not: ")


def test_a_constant_keeps_every_promise() -> None:
    """No answer moves with it, so none falls."""
    now = manifest(0.9, 0.8, age="", price="down", rooms="")
    now.features[0].constant = True
    assert compare_promises(ALL, now) is None


def test_keys_and_arguments_keep_what_is_broken_and_what_is_asked_for() -> None:
    """As TOML and as Python read them: the directions of both versions, since a key replaces the one before."""
    before = manifest(0.9, 0.8, **{"the age": "up", "price": "down", "rooms": ""})
    directions: dict[str, Any] = {"the age": "", "price": "up", "rooms": "down"}
    broken = compare_promises(before, manifest(**directions))
    assert broken is not None
    monotone = {"the age": "up", "price": "down", "rooms": "down"}
    keys = tomllib.loads(broken.keys().replace("] ", "]\n").replace(" and ", "\n"))
    assert keys == {
        "network": {"monotone": monotone},
        "intervals": {"coverage": 0.9},
        "calibration": {"coverage": 0.8},
    }
    arguments = ast.parse(f"f({broken.arguments().replace(' and ', ', ')})", mode="eval").body
    assert isinstance(arguments, ast.Call)
    assert {str(each.arg): ast.literal_eval(each.value) for each in arguments.keywords} == {
        "monotone": monotone,
        "coverage": 0.9,
        "recipe": {"calibration": {"coverage": 0.8}},
    }


def test_the_argument_of_sets_is_the_one_of_a_classifier() -> None:
    """Its coverage; a temperature alone is a section of the recipe."""
    sets, temperature = (compare_promises(manifest(0.0, share), manifest()) for share in (0.8, 0.0))
    assert sets is not None
    assert temperature is not None
    assert sets.arguments() == "coverage=0.8"
    assert temperature.arguments() == 'recipe={"calibration": {}}'


def test_many_columns_do_not_fill_the_page() -> None:
    """Three are named, the others counted; the directions are where the manifest has them."""
    directions: dict[str, Any] = {f"column {number}": "up" for number in range(100)}
    without: dict[str, Any] = dict.fromkeys(directions, "")
    broken = compare_promises(manifest(**directions), manifest(**without))
    assert broken is not None
    assert len(broken.texts) == 4
    assert broken.texts[-1] == "and so for 97 more columns"
    assert broken.keys() == "[network] monotone = the directions of the features in manifest.json of version 3"


@pytest.fixture
def run(write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a recipe of one model with these keys of [network]."""
    monkeypatch.chdir(tmp_path)

    def run_once(network: str, *options: str) -> None:
        recipe = write_recipe(steps=1)
        recipe.write_text(recipe.read_text().replace("[network]\n", f"[network]\n{network}\n"))
        assert main(["run", str(recipe), *options]) == 0

    return run_once


def test_a_run_warns_before_its_fit_and_publishes(
    run: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, behind the line on the table and before that on the first grid; the same recipe says nothing.

    The keys that the warning names bring the promise back.
    """
    run('monotone = { length = "up" }')
    run('monotone = { length = "up" }')
    assert "promises" not in capsys.readouterr().err
    run("")
    table, *_, warning, grid = capsys.readouterr().err.splitlines()
    assert table.startswith("flowers.csv: ")
    assert grid.startswith("grid 3")
    assert warning == (
        'warning: version 2 promises what the next one does not: "length": the answer never falls as it grows (now it '
        'may); if that is not meant, stop the run and set [network] monotone = { length = "up" }'
    )
    assert published_versions(tmp_path / "models" / "flowers") == [1, 2, 3]
    run('monotone = { length = "down" }')
    assert "promises" not in capsys.readouterr().err


def test_a_program_is_warned_too(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """An event of its own before the first evaluation: the direction is turned round."""
    run('monotone = { length = "down" }', "--quiet")
    run('monotone = { length = "up" }', "--json")
    told: list[Mapping[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["event"] for each in told[:3]] == ["prepared", "warning", "evaluation"]
    assert re.search(r'"length": .* never rises .*\(now it never falls\); .* = \{ length = "down" \}$', told[1]["text"])

"""What a person reads of [calibration]: notes on the temperature, and why a recipe is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kan_api.v1.manifest_pb2 import Calibration, CalibrationScores, ClassSets
from kan_model import KAN, KANConfig
from training.calibration import Temperature
from training.errors import RecipeError
from training.pipelines.fresh.calibrated import CalibratedFit
from training.publishing.export import Trained
from training.recipe.config import load_recipe, parse_recipe
from training.report.judged import Judged

RECIPE = """
[model]
name = "m"
[data]
path = "t.csv"
target = "kind"
columns = ["a"]
[task]
kind = "classification"
[network]
hidden = [2]
[fit]
grids = [3]
[ensemble]
members = 3
[calibration]
"""


def fit_of(message: Calibration, chosen: Temperature) -> CalibratedFit:
    """A calibration that no rows made."""
    return CalibratedFit(Trained(KAN(KANConfig((3, 3))), None, None), message, chosen, np.empty(0, np.int64))


def notes(message: Calibration, chosen: Temperature) -> list[str]:
    """What is told of it."""
    return list(fit_of(message, chosen).notes())


def test_a_temperature_at_its_bound_is_told_by_name() -> None:
    """And only there: a temperature that was not taken is no warning, only a line with its reason."""
    low = Temperature(0.05, 0.05, 0.4, 0.01, 300)
    told = notes(Calibration(temperature=0.05, estimated=CalibrationScores(rows=300)), low)
    assert told[0] == (
        "scores    divided by a temperature of 0.05; the best one is 0.05, and it lowers the log loss of 300 rows by "
        "0.4 ± 0.01"
    )
    assert told[1].startswith("warning   [calibration]: no temperature beyond 0.05 is tried")
    kept = Temperature(1.0, 20.0, 0.01, 0.02, 300)
    rows = CalibrationScores(rows=300)
    (line,) = notes(Calibration(temperature=1.0, estimated=rows), kept)
    assert line.startswith("scores    not divided by a temperature: the best one is 20, but it lowers the log loss")
    few = Calibration(temperature=1.0, estimated=CalibrationScores(rows=49))
    (line,) = notes(few, Temperature(1.0, 1.0, 0.0, 0.0, 49.6))
    start = "scores    not divided by a temperature: it needs"
    assert line == f"{start} 50 rows, and these count as 49 of equal weight"
    (line,) = notes(few, Temperature(1.0, 1.0, 0.0, 0.0, 300, 7.9))
    assert line == f"{start} 10 groups or stretches of time, and these count as 7 of equal weight"


def test_answers_out_of_fold_are_divided_as_those_of_the_network() -> None:
    """The report has both, whichever of them were given; undivided scores have no others beside them."""
    halved, plain = np.array([[0.75, 0.25], [0.1, 0.9]]), np.array([[0.9, 0.1], [1 / 82, 81 / 82]])
    truth, two = np.array([0, 1]), Temperature(2.0, 2.0, 0.1, 0.01, 300)
    for given, are_divided in ((halved, True), (plain, False)):
        found = fit_of(Calibration(temperature=2.0), two).judged(Judged("rows", truth, given), are_divided=are_divided)
        assert found is not None
        assert found.uncalibrated is not None
        np.testing.assert_allclose(found.answers, halved)
        np.testing.assert_allclose(found.uncalibrated, plain)
    kept = Judged("rows", truth, plain)
    assert fit_of(Calibration(temperature=1.0), replace(two, value=1.0)).judged(kept, are_divided=True) is kept


def test_a_coverage_that_too_few_rows_allow_is_told() -> None:
    """Each set has all classes then; a threshold above 0 is no warning."""
    chosen = Temperature(1.0, 1.0, 0.0, 0.0, 40)
    message = Calibration(temperature=1.0, sets=ClassSets(coverage=0.99, calibration_rows=80))
    assert notes(message, chosen)[1:] == [
        "warning   [calibration] coverage = 0.99 needs more than the 80 rows that members left out: each set has all "
        "classes"
    ]
    message.sets.calibration_rows = 99
    (_, line) = notes(message, chosen)
    assert line.endswith(
        "too many rows are of a class that got a probability of 0 in float32: each set has all classes"
    )
    message.sets.threshold = 0.1
    assert len(notes(message, chosen)) == 1


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("[prune]\n", r"\[calibration\]: not with \[prune\]"),
        ("[symbolic]\n", r"\[calibration\]: not with \[symbolic\]"),
    ],
)
def test_what_has_no_out_of_fold_answers_is_refused(tmp_path: Path, more: str, wanted: str) -> None:
    """A step after the fit makes another network."""
    with pytest.raises(RecipeError, match=wanted):
        parse_recipe(RECIPE + more, folder=tmp_path, name="r.toml")


def test_numbers_and_single_networks_are_refused(write_recipe: Callable[..., Path]) -> None:
    """They have no classes, or no out-of-fold answers."""
    path = write_recipe()
    text = path.read_text()
    for kind, wanted in (("regression", "only with .task. kind"), ("classification", "needs .ensemble.: a temp")):
        path.write_text(text.replace('kind = "regression"', f'kind = "{kind}"') + "[calibration]\n")
        with pytest.raises(RecipeError, match=wanted):
            load_recipe(path)

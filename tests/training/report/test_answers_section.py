"""What the page says of the temperature of classes, and of bounds around answers."""

import re

import numpy as np
from scipy.special import softmax

from kan_api.network_text import sets_text
from kan_api.v1.manifest_pb2 import (
    TASK_CLASSIFICATION,
    Calibration,
    CalibrationScores,
    ClassSets,
    Intervals,
    ModelManifest,
    QuantilePair,
)
from training.report.answers_section import answers_section, sureness_section
from training.report.charts import calibration_curve
from training.report.class_scores import calibrate
from training.report.judged import Judged

MANIFEST = ModelManifest(task=TASK_CLASSIFICATION, classes=["a", "b"])
CALIBRATION = Calibration(
    temperature=2.0,
    estimated=CalibrationScores(
        rows=900, error_before=0.1111, error_after=0.0222, log_loss_before=0.3333, log_loss_after=0.2444
    ),
)


def judged() -> Judged:
    """Answers to 400 rows, and what they were before the scores were halved."""
    scores = np.random.default_rng(0).normal(0, 2, (400, 2))
    truth = (np.random.default_rng(1).random(400) < softmax(scores / 2, axis=1)[:, 1]).astype(np.int64)
    return Judged("test rows", truth, softmax(scores / 2, axis=1), uncalibrated=softmax(scores, axis=1))


def test_both_errors_and_losses_are_shown() -> None:
    """A line for the estimate, and one for the test rows only where there are some."""
    manifest = ModelManifest()
    manifest.CopyFrom(MANIFEST)
    manifest.calibration.CopyFrom(CALIBRATION)
    page = "".join(answers_section(manifest, judged(), None))
    for text in ("as estimated", "900", "0.1111", "0.0222", "0.3333", "0.2444", "a temperature of 2", "15 bins"):
        assert text in page
    assert "<td>test rows</td>" not in page
    assert "before the refit" not in page
    manifest.calibration.test.CopyFrom(
        CalibrationScores(rows=100, error_after=0.0555, error_by_chance=0.0444, temperature=1.625)
    )
    manifest.data.refit = True
    page = "".join(answers_section(manifest, judged(), None))
    told = "judged the fit before the refit, by its own temperature"
    for text in ("<td>test rows</td>", "0.0555", "0.0444", "1.625", told):
        assert text in page


def test_a_temperature_that_is_not_sure_is_told_as_such() -> None:
    """Scores stay as they are; the errors are told all the same."""
    manifest = ModelManifest()
    manifest.CopyFrom(MANIFEST)
    scores = CalibrationScores(rows=900, log_loss_before=0.0333, log_loss_after=0.0333, temperature=1.0)
    manifest.calibration.CopyFrom(Calibration(temperature=1.0, estimated=scores))
    page = "".join(answers_section(manifest, judged(), None))
    for text in ("no temperature that is better than 1 by more than chance", "0.0333"):
        assert text in page
    assert "scores are divided by" not in page


def test_sets_of_classes_are_told_as_everywhere() -> None:
    """In the words of kan-client describe."""
    manifest = ModelManifest()
    manifest.CopyFrom(MANIFEST)
    manifest.calibration.CopyFrom(CALIBRATION)
    assert "Sets of classes" not in "".join(answers_section(manifest, judged(), None))
    sets = ClassSets(coverage=0.9, judged_by="test", judged_rows=1200, judged_coverage=0.8975)
    manifest.calibration.sets.CopyFrom(sets)
    assert f"Sets of classes: {sets_text(manifest)}." in "".join(answers_section(manifest, judged(), None))


def test_smoothed_labels_are_no_fault_of_divided_scores() -> None:
    """The temperature has undone what they did to the probabilities; where it is 1 they still are told."""
    manifest = ModelManifest()
    manifest.CopyFrom(MANIFEST)
    manifest.recipe = "[fit]\nlabel_smoothing = 0.1\n"
    for temperature, is_told in ((1.0, True), (2.0, False)):
        manifest.calibration.CopyFrom(Calibration(temperature=temperature))
        assert ("label_smoothing" in "".join(answers_section(manifest, judged(), None))) == is_told


def test_without_a_temperature_nothing_is_said() -> None:
    """No table and no sentence."""
    assert "temperature" not in "".join(answers_section(MANIFEST, judged(), None))


def test_the_curve_before_is_drawn_beside_the_curve() -> None:
    """Its points are those of the undivided scores."""
    given = judged()
    assert given.uncalibrated is not None
    found = calibrate(given)
    before = calibrate(Judged("test rows", given.truth, given.uncalibrated))
    upper, _ = calibration_curve(found, "probability", None, before).axes
    lines = {str(line.get_label()): np.asarray(line.get_xdata(), dtype=float) for line in upper.get_lines()}
    np.testing.assert_array_equal(lines["without the temperature"], before.told)
    np.testing.assert_array_equal(lines["found"], found.told)
    assert before.error > found.error


def bounded(**changes: object) -> ModelManifest:
    """Bounds of two targets, judged by test rows."""
    fields: dict[str, object] = {
        "coverage": 0.8,
        "kind": "linear",
        "half_width": [1.0, 2.0],
        "calibration_rows": 1234,
        "judged_by": "test",
        "judged_rows": 4321,
        "judged_coverage": [0.8125, 0.775],
        "judged_width": [2.125, 40.5],
        "curve_asked": [0.5, 0.8],
        "curve_found": [0.5, 0.8125, 0.4, 0.775],
    }
    return ModelManifest(targets=["far", "near"], intervals=Intervals(**(fields | changes)))  # type: ignore[arg-type]


def cells_of(page: str) -> list[list[str]]:
    """The words of the table, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]


def test_the_table_of_bounds_has_the_numbers_of_the_manifest() -> None:
    """A line for each target, the picture of the curve, and nothing of trees that nobody fitted."""
    page = "".join(sureness_section(bounded()))
    assert cells_of(page) == [
        ["target", "asked", "found", "mean distance of the bounds"],
        ["far", "80 %", "81.2 %", "2.125"],
        ["near", "80 %", "77.5 %", "40.5"],
    ]
    for text in ("errors of 1,234 rows", "80 % of new rows", "how many of 4,321 test rows did.", "same for all rows."):
        assert text in page
    assert page.count("<img") == 1
    assert "refit" not in page
    assert "boosted" not in page
    assert list(sureness_section(ModelManifest())) == []


def test_trees_stand_beside_each_target() -> None:
    """Each target has a line of the model and one of the trees, with both widths at equal coverage."""
    pair = QuantilePair(
        train_rows=9876,
        judged_coverage=[0.7, 0.9],
        judged_width=[1.75, 55.5],
        equal_width=[2.25, 45.25],
        intervals_equal_width=[2.0625, 42.5],
    )
    page = "".join(sureness_section(bounded(quantile_pair=pair)))
    assert cells_of(page) == [
        ["target", "by", "asked", "found", "mean distance of the bounds", "at equal coverage"],
        ["far", "this model", "80 %", "81.2 %", "2.125", "2.0625"],
        ["far", "boosted trees", "80 %", "70.0 %", "1.75", "2.25"],
        ["near", "this model", "80 %", "77.5 %", "40.5", "42.5"],
        ["near", "boosted trees", "80 %", "90.0 %", "55.5", "45.25"],
    ]
    assert "of the 10 % and the 90 % quantile, to 9,876 training rows" in page


def test_who_judged_the_bounds_is_told() -> None:
    """After a refit it was the fit before; without test rows it was the folds. A log scale and a scale are told."""
    manifest = bounded(kind="log", is_scaled=True)
    manifest.data.refit = True
    page = "".join(sureness_section(manifest))
    assert "4,321 test rows did. They judged the fit before the refit." in page
    assert "differ from row to row, by a learned scale, as a factor of the answer." in page
    manifest.intervals.judged_by = "folds"
    page = "".join(sureness_section(manifest))
    assert "4,321 rows, each by bounds from other rows, did." in page
    assert "before the refit" not in page


def test_a_manifest_without_a_curve_has_no_picture() -> None:
    """As versions of before have it."""
    page = "".join(sureness_section(bounded(curve_asked=[], curve_found=[])))
    assert len(cells_of(page)) == 3
    assert "<img" not in page

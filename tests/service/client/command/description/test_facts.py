"""What a model is beyond its columns, as lines of text."""

import pytest

from kan_api.network_text import sets_text
from kan_api.v1.manifest_pb2 import (
    TASK_CLASSIFICATION,
    TASK_REGRESSION,
    Calibration,
    CalibrationScores,
    ClassSets,
    Column,
    DataSummary,
    Feature,
    File,
    Histogram,
    Intervals,
    Level,
    ModelManifest,
    Network,
    Origin,
    Pair,
    QuantilePair,
)
from service.client.command.description.facts import fact_lines

HISTOGRAM = Histogram(edges=[326, 5000, 18823], counts=[7, 3])


def facts(manifest: ModelManifest) -> dict[str, str]:
    """The facts by name."""
    return {line[:19].strip(): line[19:].strip() for line in fact_lines(manifest)}


def test_the_facts_of_a_regression() -> None:
    """Ranges of the answers, scores beside the baselines, rows, lineage, network; no metric of another part."""
    manifest = ModelManifest(
        task=TASK_REGRESSION,
        target="price",
        metrics={
            "test_rmse": 0.51234,
            "test_r2": 0.98,
            "train_r2": 1,
            "test_rmse_of_price": 7,
            "baseline_trivial_test_rmse": 3.99,
            "baseline_linear_test_r2": 0.9,
        },
        data=DataSummary(source="diamonds.csv", fingerprint="5afd", train_rows=28049, test_rows=8630, refit=True),
        network=Network(width=[26, 16, 1], parameters=5520, degree=3),
        continued_from=2,
        created="2026-11-27",
        library_version="0.1.0",
        features=[Feature(name="carat", histogram=HISTOGRAM)],
        answers=[HISTOGRAM],
    )
    assert facts(manifest) == {
        "beyond training": "rows outside the ranges, or where training had no row, are answered",
        "outputs": '"price", 326 to 18823 on the training rows',
        "test rows": "R² 0.98, RMSE 0.5123",
        "a constant answer": "RMSE 3.99",
        "a linear model": "R² 0.9",
        "rows": "trained on 28,049 of diamonds.csv, tested on 8,630 before they trained it too",
        "data": "fingerprint 5afd",
        "continued from": "version 2, trained on new rows",
        "created": "2026-11-27 by kan-serving 0.1.0",
        "network": "[26, 16, 1], 5,520 parameters, degree 3",
    }


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        ("", "are answered"),
        ("answer", "are answered"),
        ("flag", "are answered, and the answer tells such cells"),
        ("refuse", "are refused"),
        ("of a later version", "are of a later version"),
    ],
)
def test_the_policy_is_told(policy: str, text: str) -> None:
    """What happens to a row that no training row resembles."""
    manifest = ModelManifest(unknown_ground=policy, features=[Feature(name="x", histogram=HISTOGRAM)])
    assert facts(manifest)["beyond training"].endswith(text)


@pytest.mark.parametrize(("policy", "text"), [("flag", "the answer tells such cells"), ("refuse", "are refused")])
def test_the_policy_is_told_without_histograms(policy: str, text: str) -> None:
    """GetModel leaves histograms out of a large manifest; the server has them and holds to the policy."""
    manifest = ModelManifest(unknown_ground=policy, features=[Feature(name="x", high=1)])
    assert facts(manifest)["beyond training"].endswith(text)


def test_ranges_are_known_where_each_feature_that_varies_has_a_histogram() -> None:
    """One without is one too many; a constant needs none."""
    known = [Feature(name="x", high=1, histogram=HISTOGRAM), Feature(name="constant", low=2, high=2)]
    assert facts(ModelManifest(features=known))["beyond training"].endswith("are answered")
    partial = ModelManifest(features=[*known, Feature(name="y", high=1)])
    assert facts(partial)["beyond training"].endswith("are answered; the training ranges are not known")


@pytest.mark.parametrize("policy", ["flag", "refuse"])
def test_other_words_are_not_unknown(policy: str) -> None:
    """Training masked words, so that a word that it never saw lies on known ground."""
    columns = [Column(name="town", categories=["Bern"], unseen_is_other=True), Column(name="x")]
    manifest = ModelManifest(unknown_ground=policy, columns=columns, features=[Feature(name="x", histogram=HISTOGRAM)])
    text = 'words that training never saw count as "other" in "town" and are not unknown'
    assert facts(manifest)["beyond training"].endswith(text)


def test_a_model_of_another_library_that_nobody_judged() -> None:
    """Nothing is claimed that is not known; names cannot add lines."""
    manifest = ModelManifest(
        task=TASK_CLASSIFICATION,
        classes=["a", "b"],
        origin=Origin(kind="pykan", files=[File(name="saved\nconfig.yml")]),
        features=[Feature(name="x", high=1)],
    )
    lines = list(fact_lines(manifest))
    assert all(line.count("\n") == 1 for line in lines)
    found = facts(manifest)
    assert found["outputs"] == 'a probability for each of "a", "b"'
    assert found["test rows"].startswith("not judged")
    assert found["imported from"].startswith("pykan, ")
    assert found["beyond training"].endswith("the training ranges are not known")
    assert "rows" not in found


def test_a_network_with_products_is_written_as_pykan_writes_it() -> None:
    """A pair of a level is its nodes that add and those that multiply."""
    levels = [Level(adding=6), Level(multiplying=1, sums=2, arities=[2]), Level(adding=1, sums=1)]
    manifest = ModelManifest(network=Network(width=[6, 1, 1], levels=levels, parameters=126, degree=3))
    assert facts(manifest)["network"] == "[6, [0, 1], 1], 126 parameters, degree 3"


def test_the_bounds_of_each_target() -> None:
    """What was asked for, what was found and on which rows, and how far the bounds are apart."""
    told = Intervals(
        coverage=0.9, judged_by="test", judged_rows=1200, judged_coverage=[0.8975, 0.91], judged_width=[0.51234, 12000]
    )
    manifest = ModelManifest(task=TASK_REGRESSION, targets=["far", "near"], intervals=told)
    lines = [line for line in fact_lines(manifest) if line.startswith("intervals")]
    assert lines[0][19:] == (
        '"far": 90 % asked for, 89.8 % of 1,200 test rows between lower and upper, 0.5123 apart on average\n'
    )
    told.judged_by = "folds"
    alone = ModelManifest(task=TASK_REGRESSION, target="far", intervals=told)
    (line,) = [line for line in fact_lines(alone) if line.startswith("intervals")]
    assert line[19:].startswith("90 % asked for, 89.8 % of 1,200 rows, by bounds from other rows, between lower and")
    assert "boosted quantiles" not in facts(manifest)


def test_the_trees_beside_the_bounds() -> None:
    """What they hold, and both widths at equal coverage, for each target; as told everywhere."""
    pair = QuantilePair(
        judged_coverage=[0.7, 0.912],
        judged_width=[0.25, 9000],
        equal_width=[0.625, 13000],
        intervals_equal_width=[0.5, 1],
    )
    told = Intervals(
        coverage=0.9,
        judged_by="test",
        judged_rows=12,
        judged_coverage=[0.9, 0.9],
        judged_width=[1, 2],
        quantile_pair=pair,
    )
    manifest = ModelManifest(task=TASK_REGRESSION, targets=["far", "near"], intervals=told)
    lines = [line for line in fact_lines(manifest) if line.startswith("boosted quantiles")]
    assert lines[0][19:] == (
        '"far": 70.0 % of the same rows, 0.25 apart; at equal coverage 0.625 apart, the intervals 0.5\n'
    )
    assert lines[1][19:].startswith('"near": 91.2 % of the same rows, 9000 apart; ')
    del manifest.intervals.quantile_pair.equal_width[1:]
    assert [line for line in fact_lines(manifest) if line.startswith("boosted quantiles")] == lines[:1]


def test_pairs_are_a_fact() -> None:
    """One line names the columns that have a term together; a model without pairs has no such line."""
    manifest = ModelManifest(pairs=[Pair(first="age", second="town"), Pair(first="age", second="rooms")])
    (line,) = [line for line in fact_lines(manifest) if line.startswith("pairs")]
    assert line[19:] == 'a term of two columns for "age" with "town", "age" with "rooms"\n'
    assert not [line for line in fact_lines(ModelManifest()) if line.startswith("pairs")]


def test_promises_are_facts() -> None:
    """A line for each monotone feature, by its name; none of the others."""
    features = [Feature(name="age", monotone="up"), Feature(name="rooms"), Feature(name="price", monotone="down")]
    lines = [line for line in fact_lines(ModelManifest(features=features)) if line.startswith("promised")]
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        '"age": the answer never falls as it grows, and all else stays\n',
        '"price": the answer never rises as it grows, and all else stays\n',
    ]


@pytest.mark.parametrize(
    ("temperature", "test", "text"),
    [
        (
            1.31,
            CalibrationScores(rows=200, error_before=0.04, error_after=0.015, error_by_chance=0.031, temperature=1.31),
            "of scores over a temperature of 1.31; calibration error 0.0150 on 200 test rows, 0.0400 without it; by "
            "chance alone, right probabilities have 0.0310",
        ),
        (
            1.31,
            CalibrationScores(rows=200, error_before=0.04, error_after=0.015, error_by_chance=0.031, temperature=1.25),
            "of scores over a temperature of 1.31; calibration error 0.0150 on 200 test rows, judged at a temperature "
            "of 1.25, 0.0400 without it; by chance alone, right probabilities have 0.0310",
        ),
        (
            1.31,
            CalibrationScores(rows=200, error_before=0.04, error_after=0.04, error_by_chance=0.031, temperature=1.0),
            "of scores over a temperature of 1.31; calibration error 0.0400 on 200 test rows, judged at a temperature "
            "of 1; by chance alone, right probabilities have 0.0310",
        ),
        (
            0.9,
            None,
            "of scores over a temperature of 0.9; calibration error 0.0300 on 90 training rows, as estimated, 0.0500 "
            "without it; by chance alone, right probabilities have 0.0400",
        ),
        (
            1.0,
            None,
            "of scores as they are, since no temperature was better by more than chance; calibration "
            "error 0.0300 on 90 training rows, as estimated; by chance alone, right probabilities have 0.0400",
        ),
    ],
)
def test_the_temperature_of_classes(temperature: float, test: CalibrationScores | None, text: str) -> None:
    """With the calibration error of the test rows, else of the estimate; without it there is no line."""
    estimated = CalibrationScores(
        rows=90, error_before=0.05, error_after=0.03, error_by_chance=0.04, temperature=temperature
    )
    calibration = Calibration(temperature=temperature, estimated=estimated, test=test)
    manifest = ModelManifest(task=TASK_CLASSIFICATION, classes=["a", "b"], calibration=calibration)
    assert facts(manifest)["probabilities"] == text
    assert "sets of classes" not in facts(manifest)
    assert "probabilities" not in facts(ModelManifest(task=TASK_CLASSIFICATION, classes=["a", "b"]))


def test_sets_of_classes() -> None:
    """As they are told everywhere."""
    sets = ClassSets(coverage=0.9, threshold=0.21, judged_by="test", judged_rows=1200, judged_coverage=0.8975)
    manifest = ModelManifest(classes=["a", "b"], calibration=Calibration(temperature=1.0, sets=sets))
    assert facts(manifest)["sets of classes"] == sets_text(manifest)

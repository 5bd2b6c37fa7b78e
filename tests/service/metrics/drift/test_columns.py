"""Which columns and answers of a manifest are counted."""

import numpy as np
import pytest

from kan_api.v1 import manifest_pb2 as pb
from service.metrics.drift.columns import counted_answers, counted_columns, may_be_counted
from service.metrics.drift.served_rows import stability_index
from tests.kit.models.training_rows import histogram, manifest_of

RANDOM = np.random.default_rng(0)


def table(features: int, outputs: int = 1) -> pb.ModelManifest:
    """A manifest of so many columns of numbers."""
    return manifest_of(RANDOM.normal(size=(500, features)), RANDOM.normal(size=(500, outputs)))


def names(manifest: pb.ModelManifest) -> list[str]:
    """Of the counted columns."""
    return [each.name for each in counted_columns(manifest)]


def test_the_32_columns_that_matter_most_and_a_pool_of_the_others() -> None:
    """By attribution, the largest first; the pool holds the others, with every number of a row in one cell."""
    manifest = table(40)
    for place, feature in enumerate(manifest.features):
        feature.attribution = place / 40
    assert names(manifest) == [*(f"x{place}" for place in range(39, 7, -1)), "other"]
    pool = counted_columns(manifest)[-1]
    assert pool.expected is None
    assert pool.count(np.zeros((3, 40), np.float32)).tolist() == [24, 0, 0, 0]


def test_without_attribution_the_first_columns() -> None:
    """As of older versions; 32 columns need no pool."""
    assert names(table(40)) == [*(f"x{place}" for place in range(32)), "other"]
    assert names(table(32)) == [f"x{place}" for place in range(32)]


def test_a_column_of_words_is_one_column() -> None:
    """Its attribution is the sum over its words; the training rows by word come from the 0/1 features."""
    manifest = table(1)
    manifest.features[0].attribution = 0.5
    manifest.columns.add(name="colour", categories=["red", "blue", "never"], unseen_is_other=True)
    marks = (np.arange(500) % 5 == 0).astype(float)
    for word, values in (("red", marks), ("blue", 1 - marks)):
        feature = manifest.features.add(name=f"colour {word}", column="colour", category=word, high=1, attribution=0.3)
        feature.histogram.CopyFrom(histogram(values, 2))
    manifest.features.add(name="colour never", column="colour", category="never", constant=True)
    colour, number = counted_columns(manifest)
    assert (colour.name, number.name) == ("colour", "x0")
    assert colour.labels == ("blue", "red", "other")
    assert colour.expected == pytest.approx([0.8, 0.2, 0.001])


@pytest.mark.parametrize("known", ["histograms", "constants", "answers", "nothing"])
def test_a_version_may_be_counted_if_anything_of_its_training_is_known(known: str) -> None:
    """One histogram of a feature or an answer is enough, and so is one constant."""
    manifest = table(3)
    for feature in manifest.features[: 3 if known != "histograms" else 2]:
        feature.ClearField("histogram")
    if known == "constants":
        manifest.features[2].MergeFrom(pb.Feature(constant=True, low=2, high=2))
    if known != "answers":
        del manifest.answers[:]
    counted = len(counted_columns(manifest)) + len(counted_answers(manifest))
    assert counted == (known != "nothing")
    assert may_be_counted(manifest) == (known != "nothing")


def test_of_a_date_its_days_and_no_index() -> None:
    """Served rows are newer than training: an index would always be high, but its counts are there."""
    manifest = manifest_of(RANDOM.uniform(0, 10, (400, 3)), RANDOM.normal(size=(400, 1)))
    del manifest.columns[:]
    manifest.columns.add(name="day", date=pb.DateEncoding(format="iso", first_day="2024-01-01"))
    for feature, part, attribution in zip(
        manifest.features, ("days", "month", "weekday"), (0.1, 0.6, 0.2), strict=True
    ):
        feature.name, feature.column, feature.category, feature.attribution = part, "day", part, attribution
    (day,) = counted_columns(manifest)
    assert day.expected is None
    above = dict(zip(day.labels, day.count(np.array([[99, 0, 0]], np.float32)).tolist(), strict=True))["above"]
    assert above == 1


def test_few_training_rows_expect_nothing() -> None:
    """Below 200 rows the index of rows of the same distribution is above 0.25 by chance: there are counts alone."""
    for rows in (10, 199, 200):
        manifest = manifest_of(RANDOM.normal(size=(rows, 1)), RANDOM.normal(size=(rows, 1)))
        manifest.columns.add(name="colour", categories=["red"], unseen_is_other=True)
        feature = manifest.features.add(name="colour red", column="colour", category="red", high=1)
        feature.histogram.CopyFrom(histogram(np.arange(rows, dtype=np.float64) % 2, 2))
        counted = [*counted_columns(manifest), *counted_answers(manifest)]
        assert [each.name for each in counted] == ["x0", "colour", "y0"]
        assert [each.expected is not None for each in counted] == [rows >= 200] * 3


@pytest.mark.parametrize("seed", range(5))
def test_unshifted_rows_alert_nobody(seed: int) -> None:
    """From 200 training rows on the index of 10,000 rows of the same distribution stays below the alert's 0.25."""
    random = np.random.default_rng(seed)
    for rows in (200, 500):
        manifest = manifest_of(random.normal(size=(rows, 20)), random.normal(size=(rows, 1)))
        served = random.normal(size=(10_000, 20)).astype(np.float32)
        for each in counted_columns(manifest):
            assert each.expected is not None
            assert stability_index(each.count(served), each.expected) < 0.25


def test_an_answer_that_is_nan_is_missing() -> None:
    """It is no large answer."""
    (answer,) = counted_answers(table(1))
    found = dict(
        zip(answer.labels, answer.count(np.array([[np.nan], [np.inf], [0]], np.float32)).tolist(), strict=True)
    )
    assert (found["missing"], found["above"], sum(found.values())) == (1, 1, 3)


def test_a_gap_is_a_cell_where_gaps_are_filled() -> None:
    """The share of gaps is that of training, also after it went on: then histograms count more than train_rows."""
    rows = RANDOM.normal(size=(500, 2))
    rows[:50, 0] = np.nan
    manifest = manifest_of(rows, RANDOM.normal(size=(500, 1)))
    manifest.features[0].imputed = 0.0
    manifest.data.train_rows = 20
    first, second = counted_columns(manifest)
    assert first.expected is not None
    assert dict(zip(first.labels, first.expected, strict=True))["missing"] == pytest.approx(0.1)
    assert "missing" not in second.labels


def test_a_constant_column_is_counted() -> None:
    """It has no histogram, and its one value is its cell."""
    manifest = table(2)
    manifest.features[0].ClearField("histogram")
    manifest.features[0].low = manifest.features[0].high = 4.0
    manifest.features[0].constant = True
    assert counted_columns(manifest)[0].labels == ("4 to 4", "below", "above")


@pytest.mark.parametrize(
    "flaw",
    [
        pb.Histogram(),
        pb.Histogram(edges=[0, 1], counts=[1, 2]),
        pb.Histogram(edges=[1], counts=[]),
        pb.Histogram(edges=[1, 0], counts=[3]),
        pb.Histogram(edges=[0, float("nan")], counts=[3]),
        pb.Histogram(edges=[0, float("inf")], counts=[3]),
        pb.Histogram(edges=[0, 1], counts=[-3]),
        pb.Histogram(edges=[0, 1], counts=[0]),
    ],
    ids=str,
)
def test_what_is_no_histogram_is_not_counted(flaw: pb.Histogram) -> None:
    """Anybody may write a manifest: the other columns and outputs are counted."""
    manifest = table(2, outputs=2)
    manifest.features[0].histogram.CopyFrom(flaw)
    manifest.answers[0].CopyFrom(flaw)
    assert names(manifest) == ["x1"]
    assert [each.name for each in counted_answers(manifest)] == ["y1"]


def test_without_histograms_nothing_is_counted() -> None:
    """As of a network that was imported without a table."""
    manifest = table(3)
    for feature in manifest.features:
        feature.ClearField("histogram")
    del manifest.answers[:]
    assert counted_columns(manifest) == ()
    assert counted_answers(manifest) == ()


def test_answers_have_the_names_of_classes_or_targets() -> None:
    """Of a classification its classes; at most 32 outputs are counted."""
    manifest = table(1, outputs=3)
    assert [each.name for each in counted_answers(manifest)] == ["y0", "y1", "y2"]
    manifest.classes.extend(["a", "b", "c"])
    assert [each.name for each in counted_answers(manifest)] == ["a", "b", "c"]
    del manifest.classes[:], manifest.targets[:]
    assert [each.name for each in counted_answers(manifest)] == ["output 1", "output 2", "output 3"]
    assert len(counted_answers(table(1, outputs=50))) == 32

"""What a model wants, as lines of text."""

import pytest

from kan_api.v1.manifest_pb2 import (
    TASK_CLASSIFICATION,
    TASK_REGRESSION,
    Column,
    DateEncoding,
    Feature,
    ModelManifest,
    Objective,
    TargetStatistics,
)
from service.client.command.description.columns import column_lines

COLUMNS = [Column(name="age"), Column(name="colour", categories=["red", "blue, dark"]), Column(name="dose")]
FEATURES = [
    Feature(name="age", column="age", low=1.0, high=99.5, imputed=40.0),
    Feature(name="colour=red", column="colour", category="red", high=1.0),
    Feature(name="colour=blue", column="colour", category="blue, dark", high=1.0),
    Feature(name="dose", column="dose", low=-1e-9, high=1e7),
]


def test_each_column_has_its_ground_and_its_gaps() -> None:
    """Numbers have their range in training, words are all named. A gap is filled in or refused."""
    manifest = ModelManifest(
        name="m", version=3, target="price", task=TASK_REGRESSION, columns=COLUMNS, features=FEATURES
    )
    first, empty, *table = column_lines(manifest)
    assert (first, empty) == ('m version 3 answers "price", a number, to rows with these columns:\n', "\n")
    assert [line.rstrip() for line in table] == [
        "column  holds                                 an empty cell",
        "age     numbers, 1 to 99.5 in training        counts as 40",
        'colour  words: "red", "blue, dark"            gives no answer',
        "dose    numbers, -1e-09 to 1e+07 in training  gives no answer",
    ]


@pytest.mark.parametrize(
    ("objective", "kind"),
    [
        (Objective(loss="quantile", quantile=0.9), "a number (the 0.9 quantile)"),
        (Objective(loss="mae"), "a number (the median)"),
        (Objective(loss="poisson"), "a number"),
    ],
)
def test_an_answer_that_is_no_mean_is_named(objective: Objective, kind: str) -> None:
    """A quantile of 0.9 is above nine of ten true values, so nobody should take it for the expected one."""
    manifest = ModelManifest(name="m", version=3, target="y", task=TASK_REGRESSION, objective=objective)
    assert next(column_lines(manifest)) == f'm version 3 answers "y", {kind}, to rows with these columns:\n'


def test_a_gap_may_be_a_word_and_a_model_may_have_no_target_name() -> None:
    """Classes are named."""
    manifest = ModelManifest(
        name="m",
        version=1,
        task=TASK_CLASSIFICATION,
        classes=["a", "b"],
        columns=[Column(name="colour", categories=["", "red"])],
    )
    text = "".join(column_lines(manifest))
    assert 'answers a prediction, one of "a", "b"' in text
    assert 'words: "red"' in text
    assert "is a word of its own" in text


def test_gaps_of_dates_and_of_other_words() -> None:
    """A date is filled in as a date; without "" an empty cell is another word; several targets are all named."""
    columns = [
        Column(name="sold", date=DateEncoding(format="iso", first_day="2020-01-01")),
        Column(name="colour", categories=["red"], unseen_is_other=True),
    ]
    features = [Feature(name="sold: days", column="sold", category="days", high=366, imputed=31.5)]
    manifest = ModelManifest(
        name="m", version=1, task=TASK_REGRESSION, targets=["a", "b"], columns=columns, features=features
    )
    first, _, _, sold, colour = list(column_lines(manifest))
    assert 'answers "a", "b", a number each' in first
    assert "dates (iso), 2020-01-01 to 2021-01-01 in training" in sold
    assert sold.rstrip().endswith("counts as 2020-02-01")
    assert colour.rstrip().endswith("counts as another word")


def test_a_gap_that_the_network_is_told_of_is_more_than_its_value() -> None:
    """With an input of its own a gap has an answer of its own, so the value alone would mislead."""
    columns = [Column(name="dose"), Column(name="sold", date=DateEncoding(format="iso", first_day="2020-01-01"))]
    features = [
        Feature(name="dose", column="dose", high=9, imputed=6.3259, has_gap_input=True),
        Feature(name="sold: days", column="sold", category="days", high=366, imputed=31, has_gap_input=True),
    ]
    manifest = ModelManifest(name="m", version=1, task=TASK_REGRESSION, columns=columns, features=features)
    dose, sold = list(column_lines(manifest))[-2:]
    assert dose.rstrip().endswith("counts as 6.3259, and the network is told of the gap")
    assert sold.rstrip().endswith("counts as 2020-02-01, and the network is told of the gap")


@pytest.mark.parametrize(
    ("words", "gap"), [(["", "red"], "is a word of its own"), (["red", "blue"], "counts as another word")]
)
def test_gaps_of_words_with_statistics(words: list[str], gap: str) -> None:
    """An empty cell has numbers of its own only if training had empty cells."""
    column = Column(name="colour", statistics=TargetStatistics(words=words, values=[1, 2], prior=[1.5]))
    *_, line = column_lines(ModelManifest(name="m", version=1, task=TASK_REGRESSION, columns=[column]))
    assert line.rstrip().endswith(gap)


def test_a_model_of_images_says_which_image_it_wants() -> None:
    """Channels, height and width come before the pixels, which are one line together."""
    pixels = [f"p{number}" for number in range(12)]
    manifest = ModelManifest(
        name="bars",
        version=1,
        task=TASK_CLASSIFICATION,
        target="kind",
        classes=["column", "row"],
        columns=[Column(name=name) for name in pixels],
        features=[Feature(name=name, column=name, high=240) for name in pixels],
        image_shape=[2, 2, 3],
    )
    lines = [line.rstrip("\n") for line in column_lines(manifest)]
    assert lines == [
        'bars version 1 answers "kind", one of "column", "row", to images of 2 × 2 × 3:',
        "",
        "An image of channels, height, width = 2, 2, 3 is a row of 12 pixels: all of a channel",
        "row by row, then the next channel. The Open Inference Protocol takes rows of [2, 2, 3] too. The columns:",
        "",
        "column     holds                             an empty cell",
        "p0 to p11  12 numbers, 0 to 240 in training  gives no answer",
    ]

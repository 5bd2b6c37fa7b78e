"""Predictions as lines of text."""

import csv
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, ModelManifest, TensorSpec
from service.client.answers import Prediction
from service.client.command.answer_table import Cell, cells, column_names, lines, table_lines

CLASSIFIER = ModelManifest(target="colour", task=TASK_CLASSIFICATION, classes=["red", "grün, hell"])
REGRESSOR = ModelManifest(target="price", task=TASK_REGRESSION, outputs=[TensorSpec(name="y", shape=[-1, 1])])


def prediction(values: list[list[float]], labels: tuple[str | None, ...] | None = None) -> Prediction:
    """Some answers."""
    return Prediction("m", 1, {"y": np.array(values, dtype=np.float32)}, labels, 0.0, 0.0)


COLOURS = prediction([[0.25, 0.75], [0.9, 0.1], [np.nan, np.nan]], ("grün, hell", "red", None))


def test_a_classifier_gives_the_label_and_its_probability() -> None:
    """A row of NaN has no label; CSV leaves it empty, JSON has null, the table a question mark."""
    names, rows = column_names(CLASSIFIER, False), list(cells(COLOURS, False))
    assert "".join(lines("csv", names, rows)) == 'colour,probability\n"grün, hell",0.75\nred,0.9\n,nan\n'
    assert [json.loads(line) for line in lines("json", names, rows)] == [
        {"colour": "grün, hell", "probability": 0.75},
        {"colour": "red", "probability": 0.9},
        {"colour": None, "probability": None},
    ]
    assert list(lines("table", names, rows)) == [
        "row      colour  probability\n",
        "  1  grün, hell         0.75\n",
        "  2         red          0.9\n",
        "  3           ?          nan\n",
    ]


def test_several_targets_are_columns_of_their_own() -> None:
    """In the order of the manifest."""
    manifest = ModelManifest(task=TASK_REGRESSION, targets=["far", "near"], outputs=REGRESSOR.outputs)
    names, rows = column_names(manifest, False), cells(prediction([[1.5, 2], [3, 4]]), False)
    assert "".join(lines("csv", names, rows)) == "far,near\n1.5,2.0\n3.0,4.0\n"


def test_bounds_stand_behind_the_values() -> None:
    """The lower and the upper bound of the first target, then those of the next; columns of their own names."""
    bounds = [TensorSpec(name=name, shape=[-1, 2]) for name in ("y", "lower", "upper")]
    manifest = ModelManifest(task=TASK_REGRESSION, targets=["far", "near"], outputs=bounds)
    outputs = {"y": [[3.0, 30.0]], "lower": [[2.0, 10.0]], "upper": [[5.0, 60.0]]}
    matrices = {name: np.array(values, dtype=np.float32) for name, values in outputs.items()}
    rows = cells(Prediction("m", 1, matrices, None, 0.0, 0.0), False)
    names = column_names(manifest, False)
    assert "".join(lines("csv", names, rows)) == (
        "far,near,far_lower,far_upper,near_lower,near_upper\n3.0,30.0,2.0,5.0,10.0,60.0\n"
    )


def test_all_probabilities_are_named_by_their_class() -> None:
    """One column a class, in the manifest's order."""
    names = column_names(CLASSIFIER, True)
    assert names == ["colour", "probability_red", "probability_grün, hell"]
    assert list(csv.reader(lines("csv", names, cells(COLOURS, True))))[1] == ["grün, hell", "0.25", "0.75"]


def test_the_set_of_a_row_is_a_list_behind_its_probabilities() -> None:
    """Names of classes, the most probable first; JSON in a cell of CSV. A row of NaN has none."""
    colours = replace(COLOURS, classes=tuple(CLASSIFIER.classes), set_threshold=0.25)
    names, rows = column_names(CLASSIFIER, False, True), list(cells(colours, False, True))
    assert [json.loads(line)["colour_set"] for line in lines("json", names, rows)] == [
        ["grün, hell", "red"],
        ["red"],
        None,
    ]
    read = list(csv.reader(lines("csv", names, rows)))
    assert read[0] == ["colour", "probability", "colour_set"]
    assert [row[2] for row in read[1:]] == ['["grün, hell", "red"]', '["red"]', ""]
    assert column_names(CLASSIFIER, True, True)[-2:] == ["probability_grün, hell", "colour_set"]
    assert [len(row) for row in cells(colours, True, True)] == [4, 4, 4]


def test_a_regressor_gives_the_target() -> None:
    """The value stands under the target's name."""
    names = column_names(REGRESSOR, False)
    assert "".join(lines("csv", names, cells(prediction([[1.5], [-2e-9]]), False))) == "price\n1.5\n-2e-09\n"


@given(st.floats(width=32))
def test_numbers_read_back_as_the_float32_they_were(value: float) -> None:
    """CSV and JSON lose no bit (but JSON has no NaN and no infinity)."""
    rows: list[tuple[Cell, ...]] = [(np.float32(value),)]
    text = list(lines("csv", ["y"], rows))[1]
    np.testing.assert_equal(np.float32(text), np.float32(value))
    read = json.loads(next(lines("json", ["y"], rows)))["y"]
    np.testing.assert_equal(
        np.float32("nan") if read is None else np.float32(read), value if np.isfinite(value) else np.nan
    )


@pytest.mark.parametrize("style", ["table", "csv", "json"])
def test_lines_come_while_rows_come(style: str) -> None:
    """Rows without end give lines at once: nothing waits for the last one."""
    endless: Iterator[tuple[Cell, ...]] = (("x", np.float32(number)) for number in itertools.count())
    got = lines(style, ["label", "p"], endless)  # type: ignore[arg-type]
    assert len(list(itertools.islice(got, 5000))) == 5000


def test_an_interrupted_table_ends_with_the_rows_that_are_answered() -> None:
    """Also if an interrupt comes outside the source of the rows, which could still give the rest."""

    class Rows:
        left = 5

        def __iter__(self) -> Iterator[Sequence[str]]:
            return self

        def __next__(self) -> Sequence[str]:
            self.left -= 1
            if self.left == 2:
                raise KeyboardInterrupt
            if self.left < 0:
                raise StopIteration
            return ["word"]

    printed: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        printed.extend(table_lines(["name"], Rows(), [False]))
    assert printed == ["name\n", "word\n", "word\n"]

"""The columns that a job reads and prints."""

from typing import Any

import pytest

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Column, ModelManifest, TensorSpec
from service.client.command.prediction_job import PredictionJob
from service.client.errors import InvalidInput

COLUMNS = [Column(name="age"), Column(name="dose")]
CLASSIFIER = ModelManifest(target="colour", task=TASK_CLASSIFICATION, classes=["red", "blue"], columns=COLUMNS)
REGRESSOR = ModelManifest(
    target="price", task=TASK_REGRESSION, columns=COLUMNS, outputs=[TensorSpec(name="y", shape=[-1, 1])]
)
WIDE = ModelManifest(target="price", task=TASK_REGRESSION, outputs=[TensorSpec(name="y", shape=[-1, 2])])
NAMELESS = ModelManifest(task=TASK_REGRESSION)


def job(**options: Any) -> PredictionJob:
    """A job with the defaults of the command."""
    fields: dict[str, Any] = {"version": None, "file_format": "csv", "style": "csv", "all_probabilities": False}
    return PredictionJob(model="m", source="t", target=options.pop("target", None), **{**fields, **options})


@pytest.mark.parametrize(
    ("manifest", "everything", "alone", "beside_kept"),
    [
        (CLASSIFIER, False, ["colour", "probability"], ["predicted_colour", "probability"]),
        (
            CLASSIFIER,
            True,
            ["colour", "probability_red", "probability_blue"],
            ["predicted_colour", "probability_red", "probability_blue"],
        ),
        (REGRESSOR, False, ["price"], ["predicted_price"]),
        (WIDE, False, ["price_0", "price_1"], ["predicted_price_0", "predicted_price_1"]),
        (NAMELESS, False, ["prediction"], ["prediction"]),
    ],
)
def test_an_answer_beside_kept_columns_is_called_predicted(
    manifest: ModelManifest, everything: bool, alone: list[str], beside_kept: list[str]
) -> None:
    """So that it differs from the column of the true values. Probabilities have their names."""
    assert job(all_probabilities=everything).columns_of_answer(manifest) == alone
    assert job(all_probabilities=everything, keep=("id",)).columns_of_answer(manifest) == beside_kept
    with pytest.raises(InvalidInput, match="cannot be kept"):
        job(all_probabilities=everything, keep=(beside_kept[-1],)).columns_of_answer(manifest)


def test_sets_need_a_version_that_has_some() -> None:
    """Neither a regression nor a classifier without coverage has them; the message names option and section."""
    for manifest, told in (
        (REGRESSOR, "--set: .* answers with numbers, and sets are of classes"),
        (CLASSIFIER, r"--set: .*no sets of classes; wanted .*coverage in \[calibration\]"),
    ):
        with pytest.raises(InvalidInput, match=told):
            job(sets=True).columns_of_answer(manifest)
    having = ModelManifest()
    having.CopyFrom(CLASSIFIER)
    having.calibration.sets.coverage = 0.9
    assert job(sets=True).columns_of_answer(having) == ["colour", "probability", "colour_set"]
    with pytest.raises(InvalidInput, match="cannot be kept"):
        job(sets=True, keep=("colour_set",)).columns_of_answer(having)


def test_each_column_is_read_once() -> None:
    """Inputs, then the true values, then kept columns, which may be any of them."""
    assert job(target="price", keep=("id", "dose", "price")).columns_to_read(REGRESSOR) == [
        "age",
        "dose",
        "price",
        "id",
    ]

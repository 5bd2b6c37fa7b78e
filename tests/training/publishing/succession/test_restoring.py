"""A refusal to publish other inputs names the keys that restore them."""

from pathlib import Path

import pytest

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Column, Feature, ModelManifest
from training.publishing.publish import PublishError, check_successor, publish
from training.publishing.succession.restoring import restoring_arguments, restoring_keys


def manifest(**columns: list[str]) -> ModelManifest:
    """A manifest whose columns have these words; no words: numbers."""
    made = ModelManifest(name="shop", columns=[Column(name=name, categories=words) for name, words in columns.items()])
    for name, words in columns.items():
        made.features.extend(Feature(name=name + word, column=name, category=word) for word in words or [""])
    return made


OLD = manifest(age=[], town=["", "Bonn", 'Köln, "x"'], size=[])


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (manifest(age=[], town=["Bonn"], size=[]), ['[data.categories] "town" = ["", "Bonn", "Köln, \\"x\\""]']),
        (manifest(age=["1", "2"], town=list(OLD.columns[1].categories), size=[]), ['"age" as numbers']),
        (manifest(age=[], size=[]), ['[data] columns = ["age", "town", "size"]']),
        (manifest(age=["1"], town=["x"]), ["[data] columns =", '"age" as numbers', '"town" = [""']),
        (OLD, []),
    ],
)
def test_the_keys_are_those_of_the_published_version(now: ModelManifest, wanted: list[str]) -> None:
    """Each column that differs is named with its words, or as numbers; and the list, where it differs."""
    found = restoring_keys(OLD, now)
    assert all(part in found for part in wanted)
    assert bool(found) == bool(wanted)


def test_a_column_by_target_is_restored_by_that_key() -> None:
    """And one that was of numbers, or of a list of words, by what it was."""
    by_target = manifest(age=[], town=[], size=[])
    by_target.columns[1].statistics.SetInParent()
    assert '[data] by_target with "town"' in restoring_keys(by_target, OLD)
    assert '[data.categories] "town" =' in restoring_keys(OLD, by_target)


def test_a_column_of_dates_is_restored_by_its_format() -> None:
    """And one that was of numbers by leaving it out there."""
    dates = manifest(age=[], town=[], size=[])
    dates.columns[0].date.format = "%d.%m.%Y"
    numbers = manifest(age=[], town=[], size=[])
    assert restoring_keys(dates, numbers) == '[data.dates] "age" = "%d.%m.%Y"'
    assert '"age" as numbers' in restoring_keys(numbers, dates)


def test_long_lists_of_words_are_found_in_the_manifest() -> None:
    """A message stays readable: it names the sections, and the recipe of the version has their words."""
    old = manifest(town=[f"word {number}" for number in range(200)], day=[])
    old.columns[1].date.format = "iso"
    assert restoring_keys(old, manifest(town=["a"], day=["b"])) == (
        "[data.categories], [data.dates] as in the recipe in manifest.json of version 0"
    )
    assert restoring_keys(old, manifest(town=["a"])).startswith("[data] columns, [data.categories] as in")


def test_the_refusal_names_them(tmp_path: Path) -> None:
    """Before the training, and when it publishes."""
    publish(tmp_path, OLD, lambda _: {"model.onnx": b""})
    with pytest.raises(PublishError, match=r'restore the inputs of version 1 by \[data.categories\] "town" = '):
        check_successor(tmp_path, manifest(age=[], town=["Bonn"], size=[]))


def test_other_answers_are_no_matter_of_inputs(tmp_path: Path) -> None:
    """Where the task differs too, no key is named: inputs as before would not mend it."""
    given = ModelManifest(task=TASK_CLASSIFICATION, classes=["a", "b"])
    given.MergeFrom(OLD)
    publish(tmp_path, given, lambda _: {"model.onnx": b""})
    other = ModelManifest(task=TASK_REGRESSION)
    other.MergeFrom(manifest(age=[], town=["Bonn"], size=[]))
    with pytest.raises(PublishError, match=r"classes there and numbers here; give the new model a name of its own$"):
        check_successor(tmp_path, other)


def test_the_arguments_of_an_estimator_have_whole_keys() -> None:
    """A key of its recipe replaces the drafted one, so it has the words of all columns; no column is an empty one."""
    old = manifest(age=[], town=["Bonn", "Ulm"], kind=["a", "b"])
    now = manifest(age=[], town=["Bonn", "Ulm"], kind=[])
    assert (
        restoring_arguments(old, now)
        == 'recipe={"data": {"categories": {"town": ["Bonn", "Ulm"], "kind": ["a", "b"]}}}'
    )
    assert restoring_arguments(manifest(age=[]), manifest(age=["1", "2"])) == 'recipe={"data": {"categories": {}}}'
    assert restoring_arguments(manifest(age=[], size=[]), manifest(age=[])) == 'the columns "age", "size" of X'
    assert restoring_arguments(old, old) == ""
    dates = manifest(age=[])
    dates.columns[0].date.format = "%d.%m.%Y"
    assert restoring_arguments(dates, manifest(age=[])) == 'recipe={"data": {"dates": {"age": "%d.%m.%Y"}}}'
    long = manifest(town=[f"word {number}" for number in range(200)])
    assert restoring_arguments(long, manifest(town=["a"])) == (
        "[data] categories as in the recipe in manifest.json of version 0"
    )

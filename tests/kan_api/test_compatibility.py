"""The one rule, of kan-train and kan-serve, that says which version can stand in for which."""

from collections.abc import Sequence

import pytest

from kan_api.compatibility import difference
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Column, Feature, ModelManifest, TensorSpec


def version(
    number: int, names: Sequence[str] = ("a", "b"), classes: Sequence[str] = (), outputs: int = 1
) -> ModelManifest:
    """A regression, or where classes are given a classification."""
    return ModelManifest(
        name="m",
        version=number,
        task=TASK_CLASSIFICATION if classes else TASK_REGRESSION,
        classes=classes,
        outputs=[TensorSpec(name="y", datatype="FP32", shape=[-1, len(classes) or outputs])],
        columns=[Column(name=name) for name in names],
        features=[Feature(name=name, column=name) for name in names],
    )


@pytest.mark.parametrize(
    ("older", "newer", "sentence"),
    [
        (
            version(7, "abc"),
            version(8, "ab"),
            'it takes other inputs than version 7: 3 there and 2 here; input 3 is "c" there and nothing here',
        ),
        (version(1, "ab"), version(2, "ba"), 'it takes other inputs than version 1: input 1 is "a" there and "b" here'),
        (
            version(1, classes="xyz"),
            version(2, classes="zyx"),
            'it answers otherwise than version 1: class 1 is "x" there and "z" here',
        ),
        (
            version(1, classes="xy"),
            version(2, classes="xyz"),
            'it answers otherwise than version 1: 2 there and 3 here; class 3 is nothing there and "z" here',
        ),
        (
            version(1, classes="xy"),
            version(2),
            "it answers otherwise than version 1: classes there and numbers here",
        ),
    ],
)
def test_what_callers_rely_on_must_stay(older: ModelManifest, newer: ModelManifest, sentence: str) -> None:
    """Task, classes and features in their order; the sentence names the first that differs."""
    assert difference(older, newer) == sentence


def test_several_targets_must_stay() -> None:
    """Their names, their order and their number; a caller reads an output by its place."""
    older, newer = version(1, outputs=2), version(2, outputs=2)
    older.targets[:], newer.targets[:] = ["a", "b"], ["b", "a"]
    assert difference(older, newer) == ('it answers otherwise than version 1: target 1 is "a" there and "b" here')
    del newer.targets[:]
    assert difference(older, newer) == (
        'it answers otherwise than version 1: 2 there and 0 here; target 1 is "a" there and nothing here'
    )
    older.targets[:], newer.targets[:] = ["a", "b"], ["a", "b"]
    assert difference(older, newer) == ""


def test_images_keep_their_shape() -> None:
    """Of a model that takes images; one that took flat rows only may take images too."""
    square, wide, flat = version(1), version(2), version(3)
    square.image_shape.extend([1, 4, 4])
    wide.image_shape.extend([1, 2, 8])
    assert (
        difference(square, wide) == "it takes other inputs than version 1: images of [1, 4, 4] there and [1, 2, 8] here"
    )
    assert (
        difference(square, flat) == "it takes other inputs than version 1: images of [1, 4, 4] there and flat rows here"
    )
    assert difference(flat, square) == ""


def test_features_without_names_are_their_columns_and_words() -> None:
    """A manifest written by hand may leave names out; the sentence then tells columns and words."""
    older, newer = version(1), version(2)
    for manifest, word in (older, "red"), (newer, "blue"):
        for feature in manifest.features:
            feature.name = ""
        manifest.features[1].category = word
    assert difference(older, newer) == (
        'it takes other inputs than version 1: input 2 is word "red" of column "b" there and '
        'word "blue" of column "b" here'
    )


def test_what_training_may_change_is_no_difference() -> None:
    """Ranges, filled cells, the width of a regression, the target's name, the recipe: publications differ there."""
    older, newer = version(1), version(2, outputs=2)
    newer.features[0].imputed = newer.features[0].low = 3
    newer.target, newer.recipe = "price", "[fit]"
    assert difference(older, newer) == ""


@pytest.mark.slow
def test_the_sentence_is_bounded() -> None:
    """Names of 20 MB, or of signs that take six characters to show, give one line of at most 2,000 characters."""
    for sign in ("é", "\n", "\0"):
        names = [sign * 20_000_000, sign * 20_000_001]
        sentences = [
            difference(version(1, names[:1]), version(2, names[1:])),
            difference(version(1, classes=names[:1]), version(2, classes=names[1:])),
        ]
        assert all(sentence and len(sentence) <= 2000 and "\n" not in sentence for sentence in sentences)

"""The columns that a report shows, and their effects, against formulas."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Column, Feature, ModelManifest
from kan_model import KAN, Effect, SymbolicEdge
from kan_model.network.transform import Affine, InputTransform, Softmax
from tests.kit.models.formula_layers import formula_layer
from tests.kit.pictures import texts_cut_off, texts_on_each_other
from training.data.target_statistics import fit_statistics
from training.publishing.export import Trained
from training.report.effects.computed import DrawnEffect, compute_effects
from training.report.effects.drawn import draw_effects
from training.report.effects.section import effects_section
from training.report.effects.shown_columns import ShownColumn, shown_columns

Numbers = NDArray[np.float64]


def network(factors: Numbers) -> KAN:
    """The linear network with these factors ``[outputs, inputs]``."""
    outputs, inputs = factors.shape
    edges = [
        SymbolicEdge(j, i, "x", 1.0, 0.0, float(factors[j, i]), 0.0) for j in range(outputs) for i in range(inputs)
    ]
    return KAN.of_layers([formula_layer(inputs, outputs, edges)])


def manifest() -> ModelManifest:
    """Numbers with a gap input, a column of three words, and a constant."""
    return ModelManifest(
        task=TASK_REGRESSION,
        target="y",
        columns=[Column(name="a"), Column(name="colour", categories=["red", "", "blue"]), Column(name="same")],
        features=[
            Feature(name="a", column="a", has_gap_input=True, imputed=0),
            *(Feature(name=f"colour={word}", column="colour", category=word) for word in ("red", "", "blue")),
            Feature(name="same", column="same", constant=True),
        ],
    )


def rows() -> Numbers:
    """Of these columns."""
    random = np.random.default_rng(0)
    colour = np.eye(3)[random.choice(3, 500, p=[0.2, 0.1, 0.7])]
    a = random.uniform(-1, 1, 500)
    a[:10] = np.nan
    return np.column_stack([a, colour, np.full(500, 7.0)])


INPUTS = InputTransform(
    np.zeros(6, np.float32),
    np.ones(6, np.float32),
    np.array([0, np.nan, np.nan, np.nan, np.nan], np.float32),
    np.array([0]),
)


def trained(outputs: int = 1) -> Trained:
    """Y = 2·a + 10·red + 20·empty + 0·blue, in raw units 100 times as much."""
    factors = np.array([[2.0, 10, 20, 0, 0, 0]] + [[0.0] * 6] * (outputs - 1))
    end = Affine(np.zeros(1, np.float32), np.array([100], np.float32)) if outputs == 1 else Softmax()
    return Trained(network(factors), INPUTS, end)


def test_words_are_one_column() -> None:
    """The features of a column of words are one column, whose score is their sum; a constant is left out."""
    found = shown_columns(manifest(), trained(), rows())
    assert [(one.name, one.places, one.words) for one in found] == [
        ("colour", (1, 2, 3), ("red", "", "blue")),
        ("a", (0,), ()),
    ]
    told = manifest()
    for feature, score in zip(told.features, (0.9, 0.1, 0.2, 0.3, 0.0), strict=True):
        feature.attribution = score
    assert [(one.name, round(one.score, 6)) for one in shown_columns(told, trained(), rows())] == [
        ("a", 0.9),
        ("colour", 0.6),
    ]


def test_effects_are_in_raw_units_and_the_strongest_is_first() -> None:
    """Words by their frequency, with their rows; strength is the standard deviation of the answer over the rows."""
    x = rows()
    first, second = compute_effects(trained(), x, list(reversed(shown_columns(manifest(), trained(), x))))
    assert (first.column.name, first.words) == ("colour", ("blue", "red", "(empty)"))
    counts = x[:, [3, 1, 2]].sum(axis=0)
    assert first.effect.counts.tolist() == counts.tolist()
    np.testing.assert_allclose(np.diff(first.effect.mean[:, 0]), [1000, 1000])
    assert first.strength == pytest.approx(np.sqrt(np.cov([0, 1000, 2000], fweights=counts.astype(int), ddof=0)))
    assert second.column.name == "a"
    np.testing.assert_allclose(np.diff(second.effect.mean[:, 0]), 200 * np.diff(second.effect.values[:, 0]))
    assert second.effect.counts.sum() == 490
    # A uniform column on [-1, 1] has the standard deviation 1/√3; here it is that of bins.
    assert second.strength == pytest.approx(200 / np.sqrt(3), rel=0.1)


def by_target() -> tuple[Numbers, ShownColumn, NDArray[np.object_]]:
    """Rows of a weak column and of 40 words as means of the target; the words of the rows."""
    random = np.random.default_rng(0)
    words = np.array([f"neighbourhood {place}" for place in range(40)], dtype=object)
    # Repeated words, so that each has rows in each fold; the first words are more frequent.
    cells = words[np.minimum(random.integers(0, 40, 800), random.integers(0, 40, 800))]
    y = np.array([float(word.split()[1]) for word in cells])[:, None]
    statistics, numbers = fit_statistics(cells, y, (), np.arange(800), 0, 100)
    column = ShownColumn("street", (1,), words=statistics.words, values=np.array(statistics.values))
    return np.column_stack([random.uniform(-1, 1, 800), numbers]), column, cells


def test_words_by_target_are_counted_by_the_table() -> None:
    """Training rows hold out-of-fold numbers, which no word has: pandas counts the words, and theirs is the first."""
    x, column, cells = by_target()
    model = Trained(network(np.array([[0.1, 1.0]])), None, None)
    drawn = compute_effects(model, x, [ShownColumn("weak", (0,)), column], {"street": cells})
    assert [one.column.name for one in drawn] == ["street", "weak"]
    counts = pd.Series(cells).value_counts()
    assert drawn[0].effect.counts.tolist() == counts.tolist()[:10]
    assert all(counts[word] == count for word, count in zip(drawn[0].words, drawn[0].effect.counts, strict=True))


def test_words_without_known_counts_weigh_alike() -> None:
    """The strength is the standard deviation over the words, not 0."""
    x, column, _ = by_target()
    model = Trained(network(np.array([[0.1, 1.0]])), None, None)
    drawn = compute_effects(model, x, [ShownColumn("weak", (0,)), column])
    assert [one.column.name for one in drawn] == ["street", "weak"]
    assert not drawn[0].effect.counts.any()
    assert column.values is not None
    assert drawn[0].strength == pytest.approx(column.values[:10].std(), rel=1e-5)


def test_labels_of_long_words_differ_and_stay_in_the_picture() -> None:
    """Words that begin alike are cut in the middle; the title says how many words are left out."""
    x, column, cells = by_target()
    model = Trained(network(np.array([[0.1, 1.0]])), None, None)
    figure = draw_effects(compute_effects(model, x, [column], {"street": cells}), ["y"], [0])
    axes = figure.axes[0]
    assert axes.get_title() == "street: 10 of 40 words"
    labels = axes.get_xticklabels()
    assert len({label.get_text() for label in labels}) == 10
    figure.draw_without_rendering()
    for label in labels:
        corners = label.get_window_extent()
        assert corners.x0 >= 0
        assert corners.y0 >= 0


def test_a_column_without_values_is_left_out() -> None:
    """All of its cells are missing: there is nothing to draw, and no error."""
    x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    x[:, 0] = np.nan
    inputs = InputTransform(np.zeros(2, np.float32), np.ones(2, np.float32), np.zeros(2, np.float32))
    model = Trained(network(np.ones((1, 2))), inputs, None)
    drawn = compute_effects(model, x, [ShownColumn("empty", (0,)), ShownColumn("full", (1,))])
    assert [one.column.name for one in drawn] == ["full"]


def test_bars_of_words_begin_at_the_mean_answer() -> None:
    """Each bar ends at the mean answer to its word."""
    x = rows()
    drawn = compute_effects(trained(), x, shown_columns(manifest(), trained(), x))
    figure = draw_effects(drawn, ["y"], [0])
    bars = [bar for bar in figure.axes[0].patches if to_hex(bar.get_facecolor()) == "#1f4e79"]
    ends = [bar.get_y() + bar.get_height() for bar in bars]  # type: ignore[attr-defined]
    starts = {round(bar.get_y(), 6) for bar in bars}  # type: ignore[attr-defined]
    np.testing.assert_allclose(ends, drawn[0].effect.mean[:, 0])
    assert starts == {round(float(np.average(drawn[0].effect.mean[:, 0], weights=drawn[0].effect.counts)), 6)}


def test_many_columns_and_a_fold() -> None:
    """Twelve columns in the open, six in a fold, the others counted."""
    factors = np.arange(1.0, 41)[None]
    told = ModelManifest(task=TASK_REGRESSION, target="y", features=[Feature(name=f"c{i}") for i in range(40)])
    x = np.random.default_rng(0).uniform(-1, 1, (60, 40))
    model = Trained(network(factors), None, None)
    columns = shown_columns(told, model, x)
    drawn = compute_effects(model, x, columns)
    assert len(drawn) == 18
    html = "".join(effects_section(told, drawn, len(columns)))
    assert "6 columns that matter less; 22 more are not drawn" in html
    assert html.count("<img") == 2


@pytest.mark.parametrize(("classes", "caption"), [(2, "probability of c1"), (3, "probability of each class")])
def test_classes(classes: int, caption: str) -> None:
    """Of two classes the second one; of more a line each, with a legend."""
    x, told = rows(), manifest()
    told.task = TASK_CLASSIFICATION
    told.classes.extend(f"c{place}" for place in range(classes))
    drawn = compute_effects(trained(classes), x, shown_columns(told, trained(classes), x))
    html = "".join(effects_section(told, drawn, 2))
    assert caption in html
    figure = draw_effects(drawn, list(told.classes), range(classes) if classes > 2 else [1])
    assert len(figure.legends) == (classes > 2)


def test_names_of_six_classes_fit() -> None:
    """Long names differ in the legend, and no text is cut off or lies on another."""
    x, names = rows(), [f"the class of the number {place}" for place in range(6)]
    drawn = compute_effects(trained(6), x, shown_columns(manifest(), trained(6), x))
    figure = draw_effects(drawn, names, range(6))
    assert len({text.get_text() for text in figure.legends[0].get_texts()}) == 6
    assert texts_cut_off(figure) == []
    assert texts_on_each_other(figure) == []


@pytest.mark.parametrize(("slope", "offset", "whole"), [(10.0, 0.0, True), (0.0, 100.0, False)])
def test_lines_that_cross_are_drawn_whole(slope: float, offset: float, whole: bool) -> None:
    """Means that stay while single rows rise and fall would hide a product; rows that are only far apart are cut."""
    x = np.linspace(-1, 1, 25)
    signs = np.resize([1.0, -1.0], 100)
    single = (signs[:, None] * (slope * x + offset) + 0.1 * x)[..., None]
    none = np.zeros(0, np.int64)
    found = Effect(x[:, None], single.mean(axis=0), single, np.arange(100), np.zeros(0), none)
    column = ShownColumn("x", (0,))
    figure = draw_effects([DrawnEffect(column, found)], ["y"], [0])
    low, high = figure.axes[0].get_ylim()
    assert (low <= single.min() and high >= single.max()) == whole


def test_no_answers_no_pictures() -> None:
    """A network without any finite answer has no effects, and no error."""
    told = ModelManifest(task=TASK_REGRESSION, target="y", features=[Feature(name="x")])
    edge = SymbolicEdge(0, 0, "log", 1.0, -5.0, 1.0, 0.0)
    layer = network(np.ones((1, 1))).layers[0].with_symbolic([edge])
    model = Trained(KAN.of_layers([layer]), None, None)
    x = np.linspace(-1, 1, 9)[:, None]
    drawn: list[DrawnEffect] = compute_effects(model, x, [ShownColumn("x", (0,))])
    assert drawn == []
    assert re.sub(r"\s", "", "".join(effects_section(told, drawn, 1))) == ""

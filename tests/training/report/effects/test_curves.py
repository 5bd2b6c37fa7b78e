"""The curves of a network of one layer, as the report draws them: together they are the answer."""

import numpy as np
import pytest
import torch

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, TASK_REGRESSION, Column, Feature, ModelManifest
from kan_model import KAN, KANLayer
from kan_model.network.transform import Affine, InputTransform, Softmax
from training.publishing.export import Trained
from training.publishing.manifest import predict
from training.report.effects.curve_pictures import draw_curves
from training.report.effects.curves import column_curves, curves_section, is_sum_of_curves
from training.report.effects.shown_columns import shown_columns
from training.report.page import number


def _trained(outputs: int) -> Trained:
    """One layer over a number with a gap input and a column of two words; answers in units of 10, around 50."""
    generator = torch.Generator().manual_seed(0)
    layer = KANLayer(
        torch.zeros(outputs, 4, dtype=torch.float64),
        torch.randn(outputs, 4, 8, generator=generator, dtype=torch.float64),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * 4, dtype=torch.float64),
        bias=torch.full((outputs,), 0.3, dtype=torch.float64),
    )
    center, scale = np.array([5.0, 0.5, 0.5, 0.5], np.float32), np.array([0.2, 2.0, 2.0, 2.0], np.float32)
    imputed = np.array([4.0, np.nan, np.nan], np.float32)
    inputs = InputTransform(center, scale, imputed, np.array([0], np.int64))
    behind = Softmax() if outputs > 1 else Affine(np.array([50.0], np.float32), np.array([10.0], np.float32))
    return Trained(KAN.of_layers([layer]), inputs, behind)


def _manifest(outputs: int) -> ModelManifest:
    features = [
        Feature(name="a", column="a", has_gap_input=True, imputed=4.0),
        *(Feature(name=f"town={word}", column="town", category=word) for word in ("Bonn", "Ulm")),
    ]
    columns = [Column(name="a"), Column(name="town", categories=["Bonn", "Ulm"])]
    if outputs == 1:
        return ModelManifest(task=TASK_REGRESSION, target="y", columns=columns, features=features)
    classes = ["few", "some", "many"][:outputs]
    return ModelManifest(task=TASK_CLASSIFICATION, classes=classes, columns=columns, features=features)


def _rows() -> np.ndarray:
    random = np.random.default_rng(1)
    town = random.integers(0, 2, 300)
    rows = np.column_stack([random.uniform(0, 10, 300), town == 0, town == 1]).astype(np.float64)
    rows[::10, 0] = np.nan
    return rows


def _scores(answers: np.ndarray) -> np.ndarray:
    """``[rows]``: the answers, or of two classes the logarithms of the odds of the second."""
    found: np.ndarray = answers[:, 0] if answers.shape[1] == 1 else np.log(answers[:, 1] / answers[:, 0])
    return found


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_curves_add_up_to_the_answer(outputs: int) -> None:
    """The mean answer and what each column adds are the answer; of two classes the logarithm of the odds."""
    trained, raw = _trained(outputs), _rows()
    curves = {curve.name: curve for curve in column_curves(_manifest(outputs), trained, raw, {})}
    constant = _scores(predict(trained, raw)).mean()
    asked = raw[:1].copy()
    asked[0, 0] = curves["a"].points[7]
    town = curves["town"].words.index("Bonn" if asked[0, 1] else "Ulm")
    added = curves["a"].values[7, 0] + curves["town"].values[town, 0]
    answers = predict(trained, asked)
    assert _scores(answers)[0] - constant == pytest.approx(added, abs=1e-5)
    missing = asked.copy()
    missing[0, 0] = np.nan
    found = _scores(predict(trained, missing))[0] - constant
    assert curves["a"].missing is not None
    assert found == pytest.approx(curves["a"].missing[0] + curves["town"].values[town, 0], abs=1e-5)


def test_errors_are_those_of_the_coefficients() -> None:
    """With independent coefficients of variance 1 the error is the root of the sum of squared basis functions."""
    trained, raw = _trained(1), _rows()
    covariances = torch.eye(8, dtype=torch.float64).expand(1, 4, 8, 8)
    curve = next(each for each in column_curves(_manifest(1), trained, raw, {}, covariances) if each.name == "a")
    layer = trained.kan.layers[0]
    x = torch.zeros(len(curve.points), 4, dtype=torch.float64)
    x[:, 0] = torch.from_numpy((curve.points - 5) * np.float64(np.float32(0.2)))
    wanted = 10 * layer.basis(x)[:, 0].square().sum(dim=1).sqrt().numpy()
    assert curve.errors is not None
    np.testing.assert_allclose(curve.errors[:, 0], wanted, rtol=1e-5)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_curve_is_0_on_average_over_the_rows(outputs: int) -> None:
    """Also of a network whose edges have other means, as of any fit by an optimizer."""
    trained, raw = _trained(outputs), _rows()
    raw[:, 0] = np.arange(300) % 20 / 2
    curves = {curve.name: curve for curve in column_curves(_manifest(outputs), trained, raw, {})}
    np.testing.assert_array_equal(curves["a"].points, np.arange(20) / 2)
    np.testing.assert_allclose(curves["a"].values.mean(axis=0), 0, atol=1e-9)
    counts = curves["town"].counts
    np.testing.assert_allclose(counts @ curves["town"].values / counts.sum(), 0, atol=1e-9)


def test_a_mean_over_some_of_many_rows_says_so() -> None:
    """Means are those of every third of 6,000 rows."""
    trained, raw, manifest = _trained(1), np.tile(_rows(), (20, 1)), _manifest(1)
    page = "".join(curves_section(manifest, trained, raw, shown_columns(manifest, trained, raw), {}))
    assert "0 on average over 2,000 of the 6,000 training rows" in page


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_the_section_says_what_the_sum_is(outputs: int) -> None:
    """And the picture has a curve for a number, and bars for words."""
    trained, raw, manifest = _trained(outputs), _rows(), _manifest(outputs)
    columns = shown_columns(manifest, trained, raw)
    assert is_sum_of_curves(trained, columns)
    page = "".join(curves_section(manifest, trained, raw, columns, {}))
    constant = "" if outputs == 3 else number(_scores(predict(trained, raw)).mean())
    wanted = {
        1: f"The answer is {constant} plus the sum of these curves",
        2: f"logarithm of the odds of some is {constant} plus the sum",
        3: "the softmax",
    }
    assert wanted[outputs] in page
    assert "A curve is 0 on average over the training rows" in page
    assert page.count("<img") == 1
    curves = column_curves(manifest, trained, raw, {})
    picture = draw_curves(curves, ["y"] if outputs == 1 else list(manifest.classes)[3 - outputs :], [0])
    titles = [axes.get_title() for axes in picture.axes if axes.axison]
    assert sorted(titles) == ["a", "town"]


def test_every_column_of_many_is_drawn() -> None:
    """The page has 130 curves in 11 pictures, and leaves none out."""
    columns = 130
    layer = KANLayer(
        torch.zeros(1, columns, dtype=torch.float64),
        torch.randn(1, columns, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        degree=3,
        outside="clamp",
        domain=torch.tensor([[-1.0, 1.0]] * columns, dtype=torch.float64),
    )
    names = [f"c{number}" for number in range(columns)]
    manifest = ModelManifest(
        task=TASK_REGRESSION,
        target="y",
        columns=[Column(name=name) for name in names],
        features=[Feature(name=name, column=name) for name in names],
    )
    raw = np.random.default_rng(0).uniform(-1, 1, (50, columns))
    trained = Trained(KAN.of_layers([layer]), None, None)
    html = "".join(curves_section(manifest, trained, raw, shown_columns(manifest, trained, raw), {}))
    assert html.count("<img") == 11
    assert "curves 121 to 130" in html
    assert "not drawn" not in html


def test_a_network_with_hidden_nodes_is_no_sum_of_curves() -> None:
    """Its columns act together."""
    one = _trained(1)
    layer = one.kan.layers[0]
    behind = layer.changed(
        base_weight=torch.zeros(1, 1).double(),
        coefficients=torch.zeros(1, 1, 8).double(),
        edge_mask=torch.ones(1, 1).double(),
        domain=torch.tensor([[-1.0, 1.0]]).double(),
    )
    columns = shown_columns(_manifest(1), one, _rows())
    assert not is_sum_of_curves(Trained(KAN.of_layers([layer, behind]), one.inputs, one.outputs), columns)

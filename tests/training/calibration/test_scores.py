"""Divided scores, in the graph and beside it: softmax(scores / T), as SciPy computes it."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from kan_api.v1.manifest_pb2 import CalibrationScores
from kan_model import KAN, KANConfig, scaled_network
from kan_model.lowering import lower
from kan_model.network.transform import Softmax
from kan_model.onnx_runtime import open_session
from training.calibration import choose_temperature, compare_scores, divide_scores
from training.calibration.error import bin_by_confidence, calibration_error, error_by_chance


def overconfident(classes: int, rows: int = 3_000) -> tuple[KAN, torch.Tensor, np.ndarray, np.ndarray]:
    """A network, float32 rows, its float64 scores, and classes drawn by its scores divided by 2.5."""
    kan = KAN(KANConfig((4, 6, classes), noise=3.0, initialization="paper"), seed=3)
    x = torch.rand(rows, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        scores = KAN.of_layers([layer.changed().double() for layer in kan.layers])(x.double()).numpy()
    chances = softmax(scores / 2.5, axis=1).cumsum(axis=1)
    truth = (np.random.default_rng(0).random((rows, 1)) > chances).sum(axis=1).clip(max=classes - 1)
    return kan, x, scores, truth


@pytest.mark.parametrize("classes", [2, 5])
def test_the_graph_is_the_formula(classes: int) -> None:
    """To 1e-5, and the most probable class is the same wherever the scores differ by more than float32 rounds."""
    kan, x, scores, truth = overconfident(classes)
    temperature = choose_temperature(scores, truth).value
    assert temperature == pytest.approx(2.5, rel=0.15)
    graph = open_session(lower(scaled_network(kan, 1 / temperature), outputs=Softmax(), tune_for=()).model)
    served = graph.run(x.numpy())[0].astype(np.float64)
    np.testing.assert_allclose(served, softmax(scores / temperature, axis=1), atol=1e-5)
    best = np.sort(scores, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-4
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(served.argmax(axis=1)[clear], scores.argmax(axis=1)[clear])


def test_the_message_tells_both_errors_and_losses() -> None:
    """scikit-learn's log loss of both; the calibrated one is lower, and so is its calibration error."""
    _, _, scores, truth = overconfident(3)
    found = compare_scores(scores, 2.5, truth)
    before, after = softmax(scores, axis=1), softmax(scores / 2.5, axis=1)
    assert (found.rows, found.temperature) == (len(scores), 2.5)
    assert found.log_loss_before == pytest.approx(log_loss(truth, before), rel=1e-10)
    assert found.log_loss_after == pytest.approx(log_loss(truth, after), rel=1e-10)
    assert found.error_before == pytest.approx(calibration_error(before, truth))
    assert found.error_after < 0.03 < found.error_before
    assert found.log_loss_after < found.log_loss_before
    curve = bin_by_confidence(after, truth)
    np.testing.assert_allclose(found.mean_probability, curve.told)
    np.testing.assert_allclose(found.share_right, curve.found)
    assert list(found.mean_probability) == sorted(found.mean_probability)
    assert found.error_by_chance == error_by_chance(after)


def test_dividing_scores_is_a_power_of_probabilities() -> None:
    """p^(1/T), rescaled, is softmax(scores / T); and T times it back are the probabilities before."""
    scores = np.random.default_rng(0).normal(0, 4, (50, 4))
    probabilities = softmax(scores, axis=1)
    np.testing.assert_allclose(divide_scores(probabilities, 3.0), softmax(scores / 3, axis=1), rtol=1e-12)
    np.testing.assert_allclose(divide_scores(divide_scores(probabilities, 3.0), 1 / 3), probabilities, rtol=1e-12)
    np.testing.assert_allclose(np.log(divide_scores(probabilities, 0.5)), log_softmax(scores * 2, axis=1), rtol=1e-9)


def test_without_rows_nothing_is_told() -> None:
    """The message is empty; no number is NaN."""
    assert compare_scores(np.empty((0, 2)), 2.0, np.empty(0, np.int64)) == CalibrationScores()

"""The experiment on images."""

from functools import partial

import numpy as np
import pytest
import torch

from benchmarks.paper.experiments.vision import equal_time
from benchmarks.paper.experiments.vision.fitting import Candidate, accuracy, digits, fit_best
from benchmarks.paper.experiments.vision.graphs import exported
from benchmarks.paper.experiments.vision.networks import (
    CONFIG,
    RECIPE,
    cnn,
    convolutional_kan,
    flat_kan,
    hidden_for,
    mlp,
)
from kan_model import parameter_count
from kan_model.onnx_runtime import run
from kan_model.vision.geometry import Convolution
from kan_model.vision.image_kan import ImageConfig, ImageKAN, image_parameter_count
from training.threads import torch_threads


def test_the_contenders_have_as_many_parameters() -> None:
    """The flat KAN, the CNN and MLPs of one and two hidden layers are within 2 % of the convolutional KAN."""
    wanted = image_parameter_count(convolutional_kan(0))
    for network in (flat_kan(0), cnn(0), *(mlp(hidden_for(layers), 0) for layers in (1, 2))):
        assert abs(parameter_count(network) - wanted) <= 0.02 * wanted
    assert CONFIG.shapes[-1] == (16, 4, 4)


def test_the_network_is_the_recipes() -> None:
    """Stride and pooling are the recipe's, not a copy of them that may grow old."""
    (first, second) = CONFIG.convolutions
    assert [section.model_dump()["stride"] for section in RECIPE.network.convolutions] == [first.stride, second.stride]
    assert [section.pool for section in RECIPE.network.convolutions] == [first.pool, second.pool]


def test_the_export_is_the_same_network() -> None:
    """What is timed beside the lowered graph answers as torch does."""
    pytest.importorskip("onnxscript", reason="only the extra [bench] has it: torch.onnx exports by it")
    image = ImageKAN(ImageConfig((1, 4, 4), (Convolution(2, pool="average"),), (3,), grid_size=3), seed=1)
    rows = np.random.default_rng(0).uniform(-1, 1, (2, 16)).astype(np.float32)
    with torch.no_grad():
        wanted = image(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(run(exported(image, 2), rows), wanted, rtol=0, atol=1e-5)


def test_the_start_of_an_mlp_is_the_seed_s() -> None:
    """It leaves the global generator alone."""
    before = torch.random.get_rng_state()
    first, again, other = (next(mlp((4, 3), seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_validation_chooses_the_candidate() -> None:
    """A network that learns in one epoch is chosen before one of a single hidden node, whatever their order."""
    small, large = Candidate(partial(mlp, (1,))), Candidate(partial(mlp, (64,)), refit_epochs=7)
    with torch_threads(1):
        for candidates in ([small, large], [large, small]):
            fit = fit_best(candidates, seed=0, is_quick=True)
            assert fit.epochs == 7
            assert fit.validation_accuracy == accuracy(fit.network, digits().validation) > 0.5


def test_mlps_of_equal_time_get_the_seconds_of_the_kan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs times their seconds: a sixth of the KAN's for each first fit, half of them for the second fit."""
    seconds = {"kan": (0.3, 0.5), "mlp": (0.01, 0.02)}
    monkeypatch.setattr(
        equal_time, "_epoch_seconds", lambda new, _: seconds["kan" if new is convolutional_kan else "mlp"]
    )
    candidates, kan_seconds = equal_time.timed_candidates(0)
    assert kan_seconds == pytest.approx(75 * 0.8)
    assert [(each.epochs, each.refit_epochs) for each in candidates] == [(1000, 1500)] * 3
    assert [parameter_count(each.new(0)) for each in candidates][2] > 300_000

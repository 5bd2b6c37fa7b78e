"""The experiment on images."""

import numpy as np
import pytest
import torch

from benchmarks.paper.experiments.vision.graphs import exported
from benchmarks.paper.experiments.vision.networks import CONFIG, RECIPE, cnn, convolutional_kan, flat_kan
from kan_model import parameter_count
from kan_model.onnx_runtime import run
from kan_model.vision.geometry import Convolution
from kan_model.vision.image_kan import ImageConfig, ImageKAN, image_parameter_count


def test_the_contenders_have_as_many_parameters() -> None:
    """The flat KAN and the CNN are within 2 % of the convolutional KAN."""
    wanted = image_parameter_count(convolutional_kan(0))
    for network in (flat_kan(0), cnn(0)):
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

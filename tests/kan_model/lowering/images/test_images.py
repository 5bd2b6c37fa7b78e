"""The graphs of image networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kan_model.lowering import LoweringError
from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.images import lower_image
from kan_model.lowering.images.as_convolution import AsConvolution
from kan_model.lowering.images.network import image_model
from kan_model.lowering.images.reference import ImageReference
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.transform import InputTransform, Softmax
from kan_model.onnx_runtime import run
from kan_model.vision.geometry import Convolution
from kan_model.vision.grids import adapt_image_grids
from kan_model.vision.image_kan import ImageConfig, ImageKAN
from kan_model.vision.unroll import unroll
from tests.kan_model.vision.configs import CONFIGS

MAX_POOL = ImageConfig(
    (1, 6, 6), (Convolution(3, pool="max"), Convolution(4, kernel=2, padding=0, stride=2, pool="none")), (2,)
)


def _transform(features: int) -> InputTransform:
    center = np.linspace(-0.2, 0.3, features).astype(np.float32)
    return InputTransform(center, np.full(features, 1.3, np.float32), None, None)


@pytest.mark.parametrize("strategy", STRATEGIES[:4], ids=lambda strategy: strategy.name)
@pytest.mark.parametrize("with_conv", [False, True], ids=["shifts", "conv"])
@pytest.mark.parametrize("name", CONFIGS)
def test_each_way_of_writing_it(name: str, strategy: Strategy, with_conv: bool) -> None:
    """Sums of shifts and Conv are the flat network in float64, on all kinds of rows, up to the strategy's rounding."""
    image = ImageKAN(CONFIGS[name], seed=2)
    first = AsConvolution(strategy) if with_conv else strategy
    strategies = [*(first for _ in image.convolutions), *(strategy for _ in image.head.layers)]
    found = Reference(unroll(image), rows_per_region=32).compare(image_model(image, None, None, strategies))
    assert found.max_relative_error <= 1e-4, found


@pytest.mark.parametrize("name", CONFIGS)
def test_the_fastest_that_is_exact_enough(name: str) -> None:
    """The lowering keeps the tolerance, with imputation, scaling and softmax, and tells what it tried."""
    image = ImageKAN(CONFIGS[name], seed=4)
    transform = replace(_transform(image.features), imputed=np.zeros(image.features, np.float32))
    lowered = lower_image(image, inputs=transform, outputs=Softmax(), tune_for=(1,))
    assert lowered.report.max_relative_error <= 1e-5
    assert len(lowered.strategies) == len(image.convolutions) + len(image.head.layers)
    assert any(candidate.strategy.endswith("_by_conv") for candidate in lowered.report.layers[0].candidates)
    found = Reference(unroll(image), transform, Softmax(), rows_per_region=300).compare(lowered.model)
    assert found.max_relative_error <= 1e-5, found


def test_knots_that_follow_the_images() -> None:
    """Grids that are not uniform are lowered within the tolerance too."""
    image = ImageKAN(CONFIGS["stride and groups"], seed=4)
    rows = torch.randn(60, image.features, generator=torch.Generator().manual_seed(1))
    moved = adapt_image_grids(image, rows, uniform_share=0.3)
    assert lower_image(moved, tune_for=(), strategies=STRATEGIES[3:]).report.max_relative_error <= 1e-5


def test_max_pooling() -> None:
    """It has no flat network; the graph is within 1e-5 of the image network in float64, and NaN stays NaN."""
    image = ImageKAN(MAX_POOL, seed=5)
    lowered = lower_image(image, tune_for=(1,), strategies=STRATEGIES[1:3])
    rows = np.random.default_rng(1).uniform(-1.5, 1.5, (50, image.features)).astype(np.float32)
    rows[0, 7] = np.nan
    with torch.no_grad():
        wanted = image.double()(torch.from_numpy(rows).double()).numpy()
    np.testing.assert_allclose(run(lowered.model, rows), wanted, rtol=0, atol=1e-5 * np.ptp(wanted[1:]))
    assert np.isnan(wanted[0]).all()


def test_the_reference_without_a_flat_network_sees_an_error() -> None:
    """A graph of another network is far off."""
    image, other = (ImageKAN(MAX_POOL, seed=seed) for seed in (1, 2))
    reference = ImageReference(image, None, None, training_rows=None, scale=None, rows_per_region=32)
    model = lower_image(other, tune_for=(), strategies=STRATEGIES[1:3]).model
    assert reference.compare(model).max_relative_error > 0.01


def test_what_cannot_be_lowered() -> None:
    """Numbers that are not finite, gap inputs and a tolerance that no strategy keeps are refused by name."""
    image = ImageKAN(CONFIGS["one convolution"])
    gaps = replace(_transform(image.features), gaps=np.array([0]))
    with pytest.raises(LoweringError, match="gap inputs"):
        lower_image(image, inputs=gaps)
    with pytest.raises(LoweringError, match="no strategy is within the tolerance"):
        lower_image(image, tolerance=1e-12, tune_for=())
    with torch.no_grad():
        image.convolutions[0].edges.coefficients[0, 0, 0] = torch.nan
    with pytest.raises(LoweringError, match=r"convolutions\.0\.edges\.coefficients"):
        lower_image(image)

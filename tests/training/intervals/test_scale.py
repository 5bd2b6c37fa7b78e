"""The learned scale follows errors that the inputs tell of, and nothing else."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN, KANConfig
from training.calibration.ranks import conformal_quantile
from training.intervals.scale import Design, FittedScale, fit_scale

ROWS = 1500
RANDOM = np.random.default_rng(0)
X = torch.from_numpy(RANDOM.uniform(-1, 1, (ROWS, 3)))
X[:, 2] = torch.from_numpy(RANDOM.integers(0, 2, ROWS) * 2.0 - 1)
NORMAL = np.abs(RANDOM.normal(size=(ROWS, 1)))
FOLDS = np.arange(ROWS) % 5
DESIGN = Design.of(KAN(KANConfig((3, 2, 1), grid_size=5), seed=0).layers[0], X)


def fit(errors: NDArray[np.float64]) -> FittedScale:
    """The scale of these errors."""
    return fit_scale(DESIGN.features(X), errors, FOLDS, DESIGN.strength, 0.9)


def true_scale() -> NDArray[np.float64]:
    """Three times as large at one end as at the other, and twice as large for one of two words."""
    x = X.numpy()
    return np.exp(0.55 * x[:, :1] + 0.35 * x[:, 2:])


def test_the_scale_is_found() -> None:
    """Within 15 % of the truth for most rows, up to a factor that the quantile takes away."""
    found = fit(true_scale() * NORMAL)
    ratio = np.log(true_scale()) - found.curves[0].log_scale(DESIGN.features(X))[:, None]
    assert not found.is_constant
    assert np.quantile(np.abs(ratio - np.median(ratio)), 0.9) < 0.15
    assert np.abs(found.log_scales - found.curves[0].log_scale(DESIGN.features(X))[:, None]).mean() < 0.1


def test_it_makes_the_bounds_narrower() -> None:
    """By nearly as much as the true scale would."""
    errors = true_scale() * NORMAL
    scales = np.exp(fit(errors).log_scales)
    width = conformal_quantile(errors / scales, 0.9)[0] * scales.mean()
    best = conformal_quantile(NORMAL, 0.9)[0] * true_scale().mean()
    assert width < 1.03 * best
    assert width < 0.95 * conformal_quantile(errors, 0.9)[0]


def test_errors_that_no_input_tells_of_get_a_constant() -> None:
    """Noise is no reason for curves."""
    assert fit(NORMAL).is_constant


def test_too_few_rows_for_the_rank_get_a_constant() -> None:
    """99 scores have the rank of 0.99. Of 110 rows four of five folds have 88, so no width tells that curves help."""
    found = fit_scale(DESIGN.features(X)[:110], NORMAL[:110], FOLDS[:110], DESIGN.strength, 0.99)
    assert found.is_constant
    for fold in range(5):
        assert len(np.unique(found.log_scales[FOLDS[:110] == fold])) == 1
    errors = (true_scale() * NORMAL)[:130]
    assert not fit_scale(DESIGN.features(X)[:130], errors, FOLDS[:130], 0.01 * DESIGN.strength, 0.9).is_constant


def test_a_row_has_no_say_in_its_own_scale() -> None:
    """Other errors in fold 3 leave the scales of the rows of fold 3 as they are, to the bit, and change the others."""
    errors = true_scale() * NORMAL
    before = fit(errors).log_scales
    errors[FOLDS == 3] *= np.exp(-3 * X.numpy()[FOLDS == 3, :1])
    after = fit(errors).log_scales
    np.testing.assert_array_equal(before[FOLDS == 3], after[FOLDS == 3])
    assert (before[FOLDS != 3] != after[FOLDS != 3]).all()


def test_the_layer_computes_the_curves() -> None:
    """The layer that goes into the graph gives what the fit gave, and lines for an input of two values."""
    found = fit(true_scale() * NORMAL)
    layer = DESIGN.layer(found.curves)
    with torch.no_grad():
        ours = layer(X.to(layer.base_weight)).double().numpy()[:, 0]
    np.testing.assert_allclose(ours, found.curves[0].log_scale(DESIGN.features(X)), atol=1e-5)
    points = torch.tensor([[0.2, 0.1, -1.0], [0.2, 0.1, 0.0], [0.2, 0.1, 1.0]])
    with torch.no_grad():
        low, middle, high = layer(points)[:, 0].tolist()
    assert middle == pytest.approx((low + high) / 2, abs=1e-5)


def test_beyond_the_domain_the_scale_stays_as_at_its_end() -> None:
    """Also of a network whose functions fall to zero there."""
    decaying = Design.of(KAN(KANConfig((3, 2, 1), grid_size=5, outside="decay"), seed=0).layers[0], X)
    layer = decaying.layer(fit_scale(decaying.features(X), true_scale() * NORMAL, FOLDS, DESIGN.strength, 0.9).curves)
    low, high = layer.domain.T
    with torch.no_grad():
        ends, beyond = layer(torch.stack([low, high])), layer(torch.stack([low - 5, high + 5]))
    assert (ends - ends.mean()).abs().min() > 0.3
    torch.testing.assert_close(beyond, ends)


def test_constants_and_inputs_that_are_not_read_have_no_curves() -> None:
    """Their coefficients are 0, and their edges are pruned where the network's are."""
    first = KAN(KANConfig((3, 2, 1), grid_size=5), seed=0).layers[0]
    mask = first.edge_mask.clone()
    mask[:, 1] = 0
    x = X.clone()
    x[:, 0] = 0.5
    design = Design.of(first.changed(edge_mask=mask), x)
    assert [shape.shape[1] for shape in design.shapes] == [0, 0, 1]

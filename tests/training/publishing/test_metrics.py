"""The scores of a loss are computed in the unit that the loss is fitted in."""

import numpy as np
import pytest
from scipy.special import huber

from training.data.objective.loss_function import LossFunction
from training.publishing.metrics import scores


@pytest.mark.parametrize("target_scale", ["linear", "log"])
def test_the_threshold_of_huber_has_the_unit_of_what_is_fitted(target_scale: str) -> None:
    """With logarithms of the target it is an error of logarithms; twice SciPy's function, which halves the square."""
    rng = np.random.default_rng(0)
    truth = np.exp(rng.normal(3, 1, (50, 1)))
    answers = truth * np.exp(rng.normal(0, 0.5, (50, 1)))
    errors = np.log(answers / truth) if target_scale == "log" else answers - truth
    delta = float(np.median(np.abs(errors)))
    found = scores(LossFunction("huber", delta=(delta,)), truth, answers, target_scale=target_scale)  # type: ignore[arg-type]
    assert found["huber_loss"] == pytest.approx(2 * huber(delta, errors).mean(), rel=1e-6)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((answers - truth) ** 2)))

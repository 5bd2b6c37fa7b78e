"""Frequencies of unevenly spaced samples."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import lombscargle

from kan_model.symbolic.periodogram import FREQUENCY_STEP, strongest_frequencies


def places(count: int, *, seed: int = 0) -> torch.Tensor:
    """Random ones in order, both ends among them."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(np.sort(np.concatenate([[-1.0, 1.0], random.uniform(-1, 1, count - 2)])))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_highest_peak_is_that_of_lomb_and_scargle(seed: int) -> None:
    """SciPy's periodogram on a fine ladder has its maximum within half a step of the frequency that is found."""
    u = places(400, seed=seed)
    random = np.random.default_rng(seed)
    v = torch.sin(random.uniform(20, 300) * u + 1) + torch.from_numpy(random.normal(size=400)) / 2
    v = v - v.mean()
    (found,) = strongest_frequencies(u, v, above=10.0, count=1)
    ladder = np.arange(10, math.pi * 399 / 2.5, 0.02)
    wanted = ladder[lombscargle(u.numpy(), v.numpy(), ladder).argmax()]
    assert abs(float(found) - wanted) <= FREQUENCY_STEP / 2 + 0.05


def test_several_waves_come_by_height() -> None:
    """Frequencies come by height, highest first; the slow wave, the highest of all, is below the bound."""
    u = places(2000)
    v = 5 * torch.sin(4 * u) + 2 * torch.cos(151 * u) + torch.sin(60 * u)
    found = strongest_frequencies(u, v - v.mean(), above=10.0, count=2)
    assert found.tolist() == pytest.approx([151, 60], abs=FREQUENCY_STEP / 2 + 0.1)


def test_no_frequency_is_beyond_what_the_samples_can_tell() -> None:
    """2.5 different samples a period at least, so that a slow wave is never taken for a fast one; none where few."""
    for count in (2, 5, 9, 30, 100):
        u = torch.linspace(-1, 1, count, dtype=torch.float64).repeat_interleave(3)
        v = torch.sin(3 * u)
        found = strongest_frequencies(u, v - v.mean(), above=0.0, count=1000)
        assert (found <= math.pi * (count - 1) / 2.5).all()
    assert not len(strongest_frequencies(torch.tensor([-1.0, 1.0]).double(), torch.ones(2).double(), above=0, count=3))


def test_many_samples_are_enough_for_a_thousand_periods() -> None:
    """With many samples 1,024 periods are found, and no higher frequency."""
    u = places(50_000)
    v = torch.sin(1000 * 2 * math.pi / 2 * u)
    (found,) = strongest_frequencies(u, v - v.mean(), above=10.0, count=1)
    assert float(found) == pytest.approx(1000 * math.pi, abs=FREQUENCY_STEP / 2 + 0.1)

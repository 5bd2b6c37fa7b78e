"""The frequencies of oscillations in unevenly spaced samples, as starts for the search."""

import math

import torch
from torch import Tensor

# There are 64 · 64 frequencies, up to 1024 periods over the samples.
_BLOCK = 64
# In radians: from the top of a peak to its zero there are four steps.
FREQUENCY_STEP = math.pi / 4
# With 2 samples per period a wave's height and phase can hardly be distinguished.
_SAMPLES_A_PERIOD = 2.5
# The highest frequency, 1024 periods, needs 2.5 · 1024 intervals.
_MOST_SAMPLES = 2561


def strongest_frequencies(u: Tensor, v: Tensor, *, above: float, count: int) -> Tensor:
    """Frequencies of the highest peaks, in radians, highest peak first.

    The search covers frequencies with at least 2.5 different samples per period and at most 1024 periods.

    Args:
        u: ``[samples]``, ascending, from -1 to 1.
        v: ``[samples]``, mean 0.
        above: Only frequencies above this one, in radians.
        count: The largest number of frequencies.

    Returns:
        ``[peaks]``, each within π/8 of the top of its peak; empty if there are too few samples.

    Source: the periodogram of unevenly spaced samples (Deeming, 1975).
    """
    if len(u) > _MOST_SAMPLES:
        places = torch.linspace(0, len(u) - 1, _MOST_SAMPLES, dtype=torch.float64).round().long()
        u, v = u[places], v[places]
    different = 1 + int((u.diff() > 0).sum())
    # The samples span a length of 2.
    highest = math.pi * (different - 1) / _SAMPLES_A_PERIOD
    frequencies = FREQUENCY_STEP * torch.arange(_BLOCK * _BLOCK, dtype=torch.float64)
    power = _power(u, v, blocks=min(_BLOCK, int(highest / (FREQUENCY_STEP * _BLOCK)) + 1))
    frequencies = frequencies[: len(power)]
    padded = torch.nn.functional.pad(power, (1, 1))
    peak = (power >= padded[:-2]) & (power >= padded[2:]) & (frequencies > above) & (frequencies <= highest)
    order = torch.where(peak, power, -1.0).argsort(descending=True, stable=True)[: min(count, int(peak.sum()))]
    return frequencies[order]


def _power(u: Tensor, v: Tensor, *, blocks: int) -> Tensor:
    """|Σ v·exp(i·frequency·u)|² at the frequencies 0, 1, … ``blocks``·64 − 1 steps.

    exp(i·(64p + q)·step·u) is a factor for p times a factor for q, so one matrix product gives all sums.
    """
    fine = torch.exp(1j * FREQUENCY_STEP * torch.arange(_BLOCK, dtype=torch.float64).unsqueeze(1) * u)
    coarse = torch.exp(1j * FREQUENCY_STEP * _BLOCK * torch.arange(blocks, dtype=torch.float64).unsqueeze(1) * u)
    return ((v * coarse) @ fine.T).abs().square().flatten()

"""The paper's five peaks: the KAN keeps what it learned, an MLP of its size does not."""

import math

import numpy as np
import pytest
import torch

from training.experiments.five_peaks import PEAKS, FivePeaks, five_peaks, table, target
from training.threads import torch_threads


@pytest.fixture(scope="module")
def outcome() -> FivePeaks:
    """The whole experiment."""
    with torch_threads(1):
        return five_peaks()


def test_the_kan_keeps_every_peak(outcome: FivePeaks) -> None:
    """RMSE over all peaks shown stays below 1e-5, and so does that over all five at the end (wanted: 1e-3)."""
    assert [phase.peaks for phase in outcome.phases] == [1, 2, 3, 4, 5]
    assert all(phase.kan.seen < 1e-5 for phase in outcome.phases)
    assert outcome.phases[-1].kan.all_peaks < 1e-5


def test_peaks_that_are_still_to_come_are_answered_by_zero(outcome: FivePeaks) -> None:
    """Of a curve of five equal peaks and nothing else: RMSE² over all is the share of unseen ones times their mean."""
    # ∫exp(-600 x²)dx over a region 0.4 wide; tails are 1e-11.
    mean = math.sqrt(math.pi / 600) / 0.4
    for phase in outcome.phases[:-1]:
        assert phase.kan.all_peaks == pytest.approx(math.sqrt((PEAKS - phase.peaks) / PEAKS * mean), rel=1e-3)


def test_an_mlp_of_the_same_size_learns_each_peak_and_forgets_it(outcome: FivePeaks) -> None:
    """Each peak is met better than by its mean (0.226) while it is shown, and lost with the next by its own height.

    Bounds are wide: a thousand iterations end elsewhere on another processor.
    """
    assert outcome.mlp_parameters == pytest.approx(outcome.kan_parameters, rel=0.05)
    assert all(phase.mlp.newest < 0.15 for phase in outcome.phases)
    assert all(phase.mlp.seen > 0.5 for phase in outcome.phases[1:])


def test_the_curve_has_five_peaks_of_height_one() -> None:
    """By NumPy, from the paper's formula."""
    x = np.linspace(-1, 1, 101)
    expected = sum(np.exp(-300 * (x - centre) ** 2) for centre in (-0.8, -0.4, 0.0, 0.4, 0.8))
    np.testing.assert_allclose(target(torch.from_numpy(x)[:, None])[:, 0], expected, atol=1e-14)


def test_the_table_has_a_line_a_phase(outcome: FivePeaks) -> None:
    """Title, heads, five phases; no wider than a terminal of 80 columns; numbers are those of the outcome."""
    lines = table(outcome).splitlines()
    assert len(lines) == 2 + PEAKS
    assert max(len(line) for line in lines) <= 80
    last = lines[-1].replace("|", " ").split()
    assert [float(word) for word in last[1:]] == pytest.approx(
        [
            value
            for each in (outcome.phases[-1].kan, outcome.phases[-1].mlp)
            for value in (each.newest, each.seen, each.all_peaks)
        ],
        rel=0.06,
    )

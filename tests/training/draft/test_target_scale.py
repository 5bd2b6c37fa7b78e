"""A log scale is proposed for positive targets of very different sizes."""

import numpy as np
import pytest

from training.draft.target_scale import is_for_log_scale


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.exp(np.linspace(0, 5, 50)), True),
        (np.exp(np.linspace(0, 1, 50)), False),
        (np.linspace(1, 100, 50), False),
        (np.exp(np.linspace(0, 5, 50)) - 1, False),
        (-np.exp(np.linspace(0, 5, 50)), False),
        (np.array([np.nan, 1.0, 1.0, 2.0, 3.0, 200.0]), True),
        (np.random.default_rng(0).uniform(size=300), False),
        (np.array([1.0, 3.0, np.inf]), False),
        (np.array([np.nan]), False),
    ],
)
def test_positive_numbers_of_very_different_sizes(values: np.ndarray, expected: bool) -> None:
    """Neither zeros, nor negative numbers, nor an even spread."""
    assert is_for_log_scale(values) is expected

"""The divisor of errors: the range of the answers, or their unit."""

import numpy as np

from kan_model.lowering.checks.scale import scale_of_errors
from kan_model.network.transform import Affine, Softmax

ANSWERS = np.array([[0.25, 100.0, 7.0, 0.0], [0.75, 400.0, 7.0, 0.0]])


def test_without_a_unit_it_is_the_range() -> None:
    """A constant is its own unit, and one where it is zero."""
    np.testing.assert_array_equal(scale_of_errors(None, ANSWERS), [0.5, 300, 7, 1])
    noise = np.array([[1e6], [1e6 * (1 + 1e-9)]])
    np.testing.assert_allclose(scale_of_errors(None, noise), [1e6])


def test_a_unit_is_the_least() -> None:
    """1 for a probability, the target's deviation for a number, also a negative factor."""
    np.testing.assert_array_equal(scale_of_errors(Softmax(), ANSWERS), [1, 300, 1, 1])
    outputs = Affine(np.zeros(4, np.float32), np.array([2, 2, -2, 2], np.float32))
    np.testing.assert_array_equal(scale_of_errors(outputs, ANSWERS), [2, 300, 2, 2])


def test_what_is_no_number_has_no_say() -> None:
    """A row beyond the end of a logarithm, or on a pole, leaves the range of the others; all such rows leave 1."""
    nan, inf = np.nan, np.inf
    answers = np.array([[1.0, 1.0, nan, inf], [3.0, inf, nan, -inf], [nan, 5.0, nan, inf]])
    np.testing.assert_array_equal(scale_of_errors(None, answers), [2, 4, 1, 1])
    outputs = Affine(np.zeros(4, np.float32), np.full(4, 3, np.float32))
    np.testing.assert_array_equal(scale_of_errors(outputs, answers), [3, 4, 3, 3])

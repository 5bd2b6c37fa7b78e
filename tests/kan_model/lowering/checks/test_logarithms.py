"""Graphs whose last step is exp are compared with float64 by the logarithms of their answers."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from kan_model import KAN
from kan_model.lowering import lower
from kan_model.lowering.checks.logarithms import exceed_float32, largest_error, take_logarithms
from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.network.transform import Affine, Exponential

OUTPUTS = Exponential(np.array([7, -2], np.float32), np.array([1.5, 3], np.float32))


def test_logarithms_are_those_of_float64() -> None:
    """0 has the logarithm -∞ and a negative number none; both without a warning."""
    found = take_logarithms(np.array([1, np.e, 0, -1, np.inf], np.float32))
    np.testing.assert_allclose(found, [0, 1, -np.inf, np.nan, np.inf], atol=1e-7)


def test_what_exceeds_float32_is_where_its_exp_ends() -> None:
    """Within the bounds float32 keeps the exp to half a unit in the last place; beyond 88.8 and -87.4 it does not."""
    inside = np.linspace(-87, 88, 1001)
    assert not exceed_float32(inside).any()
    rounded = np.exp(inside).astype(np.float32).astype(np.float64)
    assert np.abs(np.log(rounded) - inside).max() < 2**-23
    assert exceed_float32(np.array([88.8, -87.4])).all()


def test_the_largest_error_is_in_raw_units() -> None:
    """Of two answers that are off by the same share the larger one counts; what exceeds float32 does not."""
    logarithms = np.array([[0.0, np.log(1000), 90.0, np.nan]])
    answers = np.array([[1.01, 1010, np.inf, np.nan]], np.float32)
    assert largest_error(answers, logarithms, exceed_float32(logarithms)) == pytest.approx(10, rel=1e-4)


def test_errors_are_those_of_the_same_network_without_exp(make_kan: Callable[..., KAN]) -> None:
    """The relative error and its divisor are those of the graph that answers logarithms, up to the rounding of exp."""
    kan = make_kan((3, 2), dtype=torch.float32)
    linear, exponential = (
        (reference := Reference(kan, None, outputs, rows_per_region=64)).compare(
            predicting_model(kan, None, outputs, [ClosedForm()])
        )
        for outputs in (OUTPUTS.logarithm, OUTPUTS)
    )
    assert exponential.max_relative_error == pytest.approx(linear.max_relative_error, abs=1e-7)
    np.testing.assert_array_equal(reference.scale, Reference(kan, None, OUTPUTS.logarithm, rows_per_region=64).scale)


def test_an_answer_that_is_off_by_a_share_is_found(make_kan: Callable[..., KAN]) -> None:
    """A center that is off by 1e-3 makes every answer 0.1 % too large, small answers too."""
    kan = make_kan((3, 2), dtype=torch.float32)
    wrong = Exponential(OUTPUTS.center + np.float32(1e-3), OUTPUTS.scale)
    reference = Reference(kan, None, OUTPUTS, rows_per_region=64)
    found = reference.compare(predicting_model(kan, None, wrong, [ClosedForm()]))
    assert found.max_relative_error == pytest.approx(1e-3 / reference.scale.min(), rel=0.02)


def test_a_missing_exp_is_found(make_kan: Callable[..., KAN]) -> None:
    """A graph that answers the logarithm instead of its exp is refused."""
    kan = make_kan((3, 2), dtype=torch.float32)
    graph = predicting_model(kan, None, Affine(OUTPUTS.center, OUTPUTS.scale), [ClosedForm()])
    assert Reference(kan, None, OUTPUTS, rows_per_region=64).compare(graph).max_relative_error > 0.1


def test_a_network_whose_exp_leaves_float32_far_outside_is_lowered(make_kan: Callable[..., KAN]) -> None:
    """Far outside the domain the exp overflows or is 0; such answers are not compared, and the rest is exact."""
    kan = make_kan((2, 1), dtype=torch.float32)
    steep = Exponential(np.array([3], np.float32), np.array([20], np.float32))
    lowered = lower(kan, outputs=steep, tune_for=())
    assert lowered.report.max_relative_error < 1e-5

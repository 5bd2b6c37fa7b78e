"""Timing: everything asked for is measured; how fast it is, is the machine's affair."""

from collections.abc import Callable

import numpy as np
import torch

from kan_model import KAN
from kan_model.lowering.closed_form import ClosedForm
from kan_model.lowering.cox_de_boor import CoxDeBoor
from kan_model.lowering.network import predicting_model
from kan_model.lowering.timing import preferred_rows, seconds_by_rows


def test_every_model_is_timed_for_every_number_of_rows(make_kan: Callable[..., KAN]) -> None:
    """Seconds, finite and above zero: also more rows than a block holds, and numbers that no block divides."""
    kan = make_kan((3, 2), dtype=torch.float32)
    models = [predicting_model(kan, None, None, [strategy]) for strategy in (ClosedForm(), CoxDeBoor())]
    counts = (1, 7, 32, 128, 129, 500)
    result = seconds_by_rows(models, np.zeros((500, 3), np.float32), counts)
    assert [list(each) for each in result] == [list(counts)] * 2
    assert all(np.isfinite(seconds) and seconds > 0 for each in result for seconds in each.values())


def test_no_model_and_no_count() -> None:
    """Nothing to measure gives nothing."""
    assert seconds_by_rows([], np.zeros((1, 1), np.float32), ()) == []


def test_the_preferred_rows_are_a_block(make_kan: Callable[..., KAN]) -> None:
    """One of the sizes that are tried, up to 1024."""
    model = predicting_model(make_kan((3, 2)), None, None, [ClosedForm()])
    assert preferred_rows(model, np.zeros((1024, 3), np.float32)) in (16, 32, 64, 128, 256, 512, 1024)

"""One polynomial an interval: the right interval for every input, and the tables' size."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kan_model import KAN
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies import pieces
from kan_model.lowering.strategies.pieces import Pieces
from kan_model.network.layer import Outside
from kan_model.onnx_runtime import run

Answers = Callable[[KAN, NDArray[np.float32]], NDArray[np.float64]]


@pytest.mark.parametrize("outside", ["clamp", "decay"])
@pytest.mark.parametrize("uneven", [False, True])
def test_fine_grids_keep_their_digits(
    outside: Outside,
    uneven: bool,
    make_kan: Callable[..., KAN],
    float64_answers: Answers,
    rows_of_all_kinds: Callable[[KAN], NDArray[np.float32]],
) -> None:
    """200 intervals, on every knot and next to it: no interval is mistaken for its neighbour."""
    kan = make_kan((2, 2), grid_size=200, outside=outside, uneven=uneven, dtype=torch.float32)
    knots = kan.layers[0].all_knots().numpy().T
    rows = np.concatenate([knots, np.nextafter(knots, np.float32(-99)), np.nextafter(knots, np.float32(99))])
    wanted = float64_answers(kan, rows)
    got = run(predicting_model(kan, None, None, [Pieces()]), rows)
    assert np.max(np.abs(got - wanted) / np.ptp(wanted, axis=0)) < 1e-4


@pytest.mark.parametrize("uneven", [False, True])
def test_a_missing_value_reads_a_row_of_the_table(uneven: bool, make_kan: Callable[..., KAN]) -> None:
    """NaN as an integer is any number: the look-up must not fail for the whole batch, also of infinities."""
    kan = make_kan((3, 2), uneven=uneven, outside="decay", dtype=torch.float32)
    rows = np.zeros((5, 3), np.float32)
    rows[1], rows[2, 2], rows[3, 0] = np.nan, np.nan, np.inf
    got = run(predicting_model(kan, None, None, [Pieces()]), rows)
    assert np.isnan(got[1:3]).all()
    assert np.isfinite(got[[0, 4]]).all()


def test_the_table_is_bounded(make_kan: Callable[..., KAN], monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs · outputs · (degree + 1) · intervals numbers of 4 bytes, the tails' intervals always counted."""
    kan = make_kan((3, 2), grid_size=10)
    for count, applies in ((3 * 2 * 4 * 16, True), (3 * 2 * 4 * 16 - 1, False)):
        monkeypatch.setattr(pieces, "_MAX_TABLE_BYTES", 4 * count)
        assert Pieces().applies(kan.layers[0]) == applies


def test_a_table_of_many_inputs_is_made_in_parts(make_kan: Callable[..., KAN], float64_answers: Answers) -> None:
    """More inputs than are done at once, each with a grid of its own."""
    kan = make_kan((2 * pieces._INPUTS_AT_ONCE + 3, 1), uneven=True, dtype=torch.float32)
    rows = np.random.default_rng(0).uniform(-1, 1, (20, kan.width[0])).astype(np.float32)
    got = run(predicting_model(kan, None, None, [Pieces()]), rows)
    np.testing.assert_allclose(got, float64_answers(kan, rows), atol=1e-4)

"""The error of a float32 graph against the same network in float64."""

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common.sessions import Rows, caller
from benchmarks.lowering.networks import SEED
from kan_model import KAN

SAMPLES = 1024
# How far rows reach from the middle of the domain, in widths of the domain: for [−1, 1] up to |x| = 6.
REACH_DOMAINS = 3.0
_BLOCK_ROWS = 256


def rows_inside(kan: KAN) -> Rows:
    """Rows inside the domain: random ones, then every knot of each input, the ends included; ``[rows, inputs]``."""
    low, high, knots = _grid(kan)
    draws = np.random.default_rng(SEED).random((SAMPLES, len(low)))
    degree = kan.layers[0].degree
    return np.concatenate([low + (high - low) * draws, knots[degree:-degree]]).astype(np.float32)


def rows_outside(kan: KAN) -> Rows:
    """Rows inside and outside the domain, up to REACH_DOMAINS widths from its middle, and the knots beyond it."""
    low, high, knots = _grid(kan)
    draws = np.random.default_rng(SEED + 1).uniform(-1, 1, (SAMPLES, len(low)))
    reach = np.linspace(0.5, REACH_DOMAINS, SAMPLES)[:, None] * (high - low)
    ends = np.stack([-reach[-1], reach[-1]])
    return np.concatenate([np.concatenate([reach * draws, ends]) + (low + high) / 2, knots]).astype(np.float32)


def errors(session: object, kan: KAN) -> tuple[float, float]:
    """The largest errors against ``kan`` in float64: inside the domain, and outside up to REACH_DOMAINS widths.

    An output's error is relative to its range inside the domain; outside, relative to the range or to the output
    itself, whichever is larger. The reference reads the same float32 rows.
    """
    inside, outside = rows_inside(kan), rows_outside(kan)
    wanted_inside, wanted_outside = _reference(kan, inside), _reference(kan, outside)
    scale = np.ptp(wanted_inside, axis=0)
    (answer_inside,), (answer_outside,) = (caller(session, (rows,), _BLOCK_ROWS)() for rows in (inside, outside))
    return (
        float(np.max(np.abs(answer_inside - wanted_inside) / scale)),
        float(np.max(np.abs(answer_outside - wanted_outside) / np.maximum(scale, np.abs(wanted_outside)))),
    )


def share_of_hidden_outside(kan: KAN) -> float | None:
    """The share of hidden activations outside their domain for inputs inside; None: there is no hidden layer."""
    if len(kan.layers) == 1:
        return None
    x, left = torch.from_numpy(rows_inside(kan)), []
    with torch.no_grad():
        for before, layer in zip(kan.layers, kan.layers[1:], strict=False):
            x = before(x)
            left.append((x < layer.domain[:, 0]) | (x > layer.domain[:, 1]))
    return float(torch.cat(left, dim=1).double().mean())


def _grid(kan: KAN) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Low and high of each input's domain ``[inputs]`` and all knots ``[knots, inputs]``."""
    first = kan.layers[0]
    low, high = first.domain.double().numpy().T
    return low, high, first.all_knots().double().numpy().T


def _reference(kan: KAN, rows: Rows) -> NDArray[np.float64]:
    with torch.no_grad():
        answer: NDArray[np.float64] = copy.deepcopy(kan).double()(torch.from_numpy(rows).double()).numpy()
    return answer

"""Times of attribution.onnx beside model.onnx, and beside KernelSHAP on the same network."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx

from benchmarks.attribution.shapley import kernel_shap
from benchmarks.common.sessions import caller, open_session
from benchmarks.common.timing import Timing, interleave
from kan_model import KAN, KANConfig
from kan_model.lowering import lower
from kan_model.lowering.attribution import INPUT_NAMES, attribution_model

NETWORKS = (((16, 32, 4), 5), ((16, 32, 4), 8), ((64, 64), 5), ((64, 64), 8))
ROW_COUNTS = (1, 64)
# Rows of a run for the comparison with KernelSHAP; it explains so few of them, because each takes long.
SHAP_ROWS, _SHAP_EXPLAINED = 64, 4
_SHAP_NETWORK = (12, 16, 1)


@dataclass(frozen=True)
class Speed:
    """Times of one network and number of rows, side by side.

    Attributes:
        network: Shape and grid.
        rows: Rows of a run.
        model: Of model.onnx.
        attribution: Of attribution.onnx, with one reference row.
    """

    network: str
    rows: int
    model: Timing
    attribution: Timing


def speeds(seconds: float, min_rounds: int) -> Iterator[Speed]:
    """Time each network with each number of rows."""
    for width, grid_size in NETWORKS:
        kan = KAN(KANConfig(width, grid_size=grid_size, hidden_domain=(-0.5, 0.5)))
        model, attribution = (open_session(graph.SerializeToString()) for graph in _graphs(kan))
        rows = np.random.default_rng(0).uniform(-1, 1, (max(ROW_COUNTS), width[0])).astype(np.float32)
        for count in ROW_COUNTS:
            features, reference = rows[:count], rows[:1].copy()
            calls = [caller(model, (features,), count), caller(attribution, (features, reference), count)]
            yield Speed(f"{list(width)} G={grid_size}", count, *interleave(calls, seconds, min_rounds))


def times_faster_than_kernel_shap() -> float:
    """Processor time of KernelSHAP over that of attribution.onnx, for a row, at 64 rows a run.

    KernelSHAP asks model.onnx, in one run for all coalitions of a row, with the same background row.
    """
    kan = KAN(KANConfig(_SHAP_NETWORK, noise=1.0))
    model, attribution = (open_session(graph.SerializeToString()) for graph in _graphs(kan))
    rows = np.random.default_rng(0).uniform(-1, 1, (SHAP_ROWS, _SHAP_NETWORK[0])).astype(np.float32)
    feed = dict(zip(INPUT_NAMES, (rows, rows[:1].copy()), strict=True))
    ours = interleave([lambda: attribution.run(None, feed)], 1.0, 9)[0].median / SHAP_ROWS
    explain = kernel_shap(
        lambda points: model.run(None, {INPUT_NAMES[0]: points.astype(np.float32)})[0][:, 0].astype(np.float64),
        rows[:1].astype(np.float64),
    )
    explain(rows[:1].astype(np.float64))
    start = time.process_time()
    explain(rows[1 : 1 + _SHAP_EXPLAINED].astype(np.float64))
    return (time.process_time() - start) / _SHAP_EXPLAINED / ours


def _graphs(kan: KAN) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """model.onnx as it is published, tuned here, and attribution.onnx."""
    return lower(kan, tune_for=ROW_COUNTS).model, attribution_model(kan, None, None, range(kan.width[0]))

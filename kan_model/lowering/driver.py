"""Lower a KAN: for each layer, measure every strategy that applies and keep the fastest that is exact enough."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.choose.parts import time_parts
from kan_model.lowering.choose.report import LayerReport, LoweringError, Report
from kan_model.lowering.choose.search import (
    SCREENING_ROWS,
    Search,
    applicable_strategies,
    combine,
    screen,
    time_options,
)
from kan_model.lowering.choose.timing import preferred_rows
from kan_model.lowering.emit.network import explaining_model, predicting_model
from kan_model.lowering.emit.precision import PRECISIONS, Precision
from kan_model.lowering.strategies.closed_form import ClosedForm
from kan_model.lowering.strategies.cox_de_boor import CoxDeBoor
from kan_model.lowering.strategies.pieces import Pieces
from kan_model.lowering.strategies.radial_powers import RadialPowers
from kan_model.lowering.strategies.segments import Segments
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.lowering.strategies.truncated_powers import TruncatedPowers
from kan_model.network.network import KAN, on_cpu
from kan_model.network.transform import InputTransform, Intervals, OutputTransform, count_features
from kan_model.onnx_graph import check
from kan_model.splines.bspline import check_grid

# In order of preference, which decides if nothing is timed.
STRATEGIES: tuple[Strategy, ...] = (
    RadialPowers(),
    TruncatedPowers(),
    ClosedForm(),
    Segments(5),
    Segments(10),
    Pieces(),
    CoxDeBoor(),
)
_TIMED_ROWS = 1024


@dataclass(frozen=True)
class Lowered:
    """An ONNX model and how it was made.

    Attributes:
        model: float32 ``features`` [rows, inputs] -> one float32 output [rows, outputs]; with intervals also their
            bounds ``lower`` and ``upper``, of the same shape.
        explained: The same without intervals, with further outputs: each layer's edges ``layer0_edges``, … [rows, sums,
            inputs].
        report: The strategies tried for each layer.
        preferred_rows: Number of rows per run at which a row takes the least time; 0: not measured.
    """

    model: onnx.ModelProto
    explained: onnx.ModelProto
    report: Report
    preferred_rows: int

    @property
    def strategies(self) -> tuple[str, ...]:
        """Name of each layer's strategy, first layer first."""
        return tuple(layer.strategy for layer in self.report.layers)


def lower(
    kan: KAN,
    *,
    inputs: InputTransform | None = None,
    outputs: OutputTransform | None = None,
    tolerance: float = 1e-5,
    tune_for: Sequence[int] = (1, 32, 1024),
    precision: Precision = "float32",
    strategies: Sequence[Strategy] = STRATEGIES,
    training_rows: NDArray[np.float32] | None = None,
    scale: NDArray[np.float64] | None = None,
    metadata: Mapping[str, str] | None = None,
    intervals: Intervals | None = None,
) -> Lowered:
    """Write the network as a graph of standard operators (opset 17), with constants rounded once to float32.

    Args:
        kan: The network.
        inputs: Imputation and scaling of the inputs; None: the client sends the network's own inputs.
        outputs: Softmax or scaling of the outputs; None: the network's own outputs.
        tolerance: Bound on the error of the whole graph against float64, relative to each output's range.
        tune_for: Batch sizes, in rows, that will be served. Of the strategies within the tolerance the one is kept that
            is fastest on this machine over all these sizes (geometric mean). Empty: nothing is timed, and the first
            strategy within the tolerance is kept, on every machine the same.
        precision: Number format of each layer's largest product.
        strategies: The strategies to choose from, best first.
        training_rows: ``[rows, features]``, raw, NaN for a gap. The graph is compared on these rows too, and errors
            are relative to the range of the answers to them. None: to the range inside the domain.
        scale: ``[outputs]``, the divisor of errors, if it is known already; None: computed here.
        metadata: Entries of the model's metadata_props.
        intervals: Bounds around the answers, which become the outputs ``lower`` and ``upper``; None: there are none.

    Returns:
        The graph, the explaining graph and the report.

    Raises:
        LoweringError: numbers that are not finite; training rows of another shape; a grid that makes no spline; no
            strategy within the tolerance. The message names the layer, the cause and the best error reached.
    """
    kan = on_cpu(kan)
    _check(kan, tolerance, tune_for, precision)
    features = count_features(kan.width[0], inputs)
    if training_rows is not None and (training_rows.ndim != 2 or training_rows.shape[1] != features):
        raise LoweringError(f"training_rows have shape {training_rows.shape}; wanted [rows, {features}]")
    reference = Reference(
        kan, inputs, outputs, training_rows=training_rows, scale=scale, rows_per_region=SCREENING_ROWS
    )
    search = Search(kan, inputs, outputs, precision, reference)
    candidates = [applicable_strategies(layer, index, strategies, precision) for index, layer in enumerate(kan.layers)]
    layers = screen(search, candidates, tolerance)
    if tune_for:
        layers = [time_options(search, index, options, tune_for) for index, options in enumerate(layers)]
        layers = [time_parts(search, index, layers, tolerance, tune_for) for index in range(len(layers))]
    chosen, error = combine(search, layers, tolerance)
    kept = [each.strategy for each in chosen]
    model = predicting_model(kan, inputs, outputs, kept, precision, metadata, intervals)
    explained = explaining_model(kan, inputs, outputs, kept, metadata)
    check(model)
    check(explained)
    report = Report(
        tuple(
            LayerReport(each.strategy.name, tuple(option.candidate for option in options))
            for each, options in zip(chosen, layers, strict=True)
        ),
        tolerance,
        error,
    )
    rows = preferred_rows(model, reference.rows_inside(_TIMED_ROWS)) if tune_for else 0
    return Lowered(model, explained, report, rows)


def explain_exactly(kan: KAN, inputs: InputTransform | None, outputs: OutputTransform | None) -> onnx.ModelProto:
    """The explaining graph by the most exact strategy of each layer, the last that can write it.

    Where errors cancel in the answers, the fastest strategy may be exact enough for these, and not for single edges.
    """
    kan = on_cpu(kan)
    kept = [applicable_strategies(layer, index, STRATEGIES, "float32")[-1] for index, layer in enumerate(kan.layers)]
    explained = explaining_model(kan, inputs, outputs, kept)
    check(explained)
    return explained


def _check(kan: KAN, tolerance: float, tune_for: Sequence[int], precision: str) -> None:
    if precision not in PRECISIONS:
        raise LoweringError(f"precision is {precision!r}; wanted {', '.join(PRECISIONS)}")
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise LoweringError(f"tolerance is {tolerance}; wanted a number above 0")
    if any(not isinstance(rows, int) or rows < 1 for rows in tune_for):
        raise LoweringError(f"tune_for is {tuple(tune_for)}; wanted numbers of rows, 1 or more")
    for index, layer in enumerate(kan.layers):
        for name, tensor in layer.state_dict().items():
            bad = int((~torch.isfinite(tensor)).sum())
            if bad:
                raise LoweringError(
                    f"layer {index}: {bad} of {tensor.numel()} numbers in {name} are not finite; wanted none"
                )
        try:
            check_grid(layer.all_knots().detach().float(), layer.degree)
        except ValueError as error:
            raise LoweringError(f"layer {index}: {error}") from None

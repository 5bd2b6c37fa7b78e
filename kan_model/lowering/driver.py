"""Choose by measurement: every strategy that applies, without those that are too far off, the fastest of the rest."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_model.bspline import check_grid
from kan_model.lowering.closed_form import ClosedForm
from kan_model.lowering.cox_de_boor import CoxDeBoor
from kan_model.lowering.graph import check
from kan_model.lowering.network import explaining_model, predicting_model
from kan_model.lowering.pieces import Pieces
from kan_model.lowering.precision import Precision
from kan_model.lowering.reference import Comparison, Reference
from kan_model.lowering.report import Candidate, LayerReport, LoweringError, Report
from kan_model.lowering.segments import Segments
from kan_model.lowering.strategy import Strategy
from kan_model.lowering.timing import preferred_rows, seconds_by_rows
from kan_model.lowering.truncated_powers import TruncatedPowers
from kan_model.network import KAN
from kan_model.transform import InputTransform, OutputTransform

# In order of preference where nothing is timed.
STRATEGIES: tuple[Strategy, ...] = (
    TruncatedPowers(),
    TruncatedPowers("monomials"),
    TruncatedPowers("centred"),
    ClosedForm(),
    Segments(5),
    Segments(10),
    Pieces(),
    CoxDeBoor(),
)
# Strategies this close to the fastest (in the logarithm) are as fast: another run would order them otherwise.
_AS_FAST = 0.03
_SCREENING_ROWS = 256
_TIMED_ROWS = 1024


@dataclass(frozen=True)
class Lowered:
    """An ONNX model and how it was made.

    Attributes:
        model: float32 ``features`` [rows, inputs] -> one float32 output [rows, outputs].
        explained: The same, with each layer's edge outputs ``layer0_edges``, … [rows, outputs, inputs] beside it.
        report: What was tried for each layer.
        preferred_rows: Rows a run at which a row is cheapest; 0: not measured.
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
) -> Lowered:
    """Write the network as a graph of standard ops (opset 17), constants rounded once to float32.

    Args:
        kan: The network.
        inputs: Imputation and scaling in front; None: the client sends what the network reads.
        outputs: Softmax or scaling behind; None: the network's own outputs.
        tolerance: Bound on the error of the whole graph against float64, relative to each output's range.
        tune_for: Numbers of rows that will be served at once: of the strategies within the tolerance the one is kept
            that is fastest here over all of them (geometric mean). Empty: the first within the tolerance, the same on
            every machine.
        precision: Of each layer's largest product.
        strategies: To choose from, best first.
        training_rows: ``[rows, features]``, raw, NaN where missing: errors are looked for there too, and relative to
            the range of the answers to them. None: to the range inside the domain.
        scale: ``[outputs]``, what errors are relative to, where it is known already.
        metadata: Goes into the model's metadata_props.

    Raises:
        LoweringError: numbers that are not finite, grids no spline can stand on, or no strategy within the tolerance;
            the layer, the cause and the best error reached are named.
    """
    _check(kan, tolerance, tune_for)
    reference = Reference(
        kan, inputs, outputs, training_rows=training_rows, scale=scale, rows_per_region=_SCREENING_ROWS
    )
    search = _Search(kan, inputs, outputs, precision, reference)
    layers = [_candidates(search, index, strategies, tolerance, tune_for) for index in range(len(kan.layers))]
    chosen, error = _combine(search, layers, tolerance)
    kept = [each.strategy for each in chosen]
    model = predicting_model(kan, inputs, outputs, kept, precision, metadata)
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


@dataclass(frozen=True)
class _Option:
    """A strategy for one layer and what was found of it."""

    strategy: Strategy
    candidate: Candidate


class _Search:
    """Errors of the whole network by the strategies of its layers; none is looked for twice."""

    def __init__(
        self,
        kan: KAN,
        inputs: InputTransform | None,
        outputs: OutputTransform | None,
        precision: Precision,
        reference: Reference,
    ) -> None:
        self.kan, self.precision, self.reference = kan, precision, reference
        self._inputs, self._outputs = inputs, outputs
        self._found: dict[tuple[str, ...], Comparison] = {}

    def error(self, strategies: Sequence[Strategy]) -> Comparison:
        """How far the network is off when its layers are written so."""
        names = tuple(strategy.name for strategy in strategies)
        if names not in self._found:
            model = predicting_model(self.kan, self._inputs, self._outputs, strategies, self.precision)
            self._found[names] = self.reference.compare(model)
        return self._found[names]


def _candidates(
    search: _Search, index: int, strategies: Sequence[Strategy], tolerance: float, tune_for: Sequence[int]
) -> list[_Option]:
    """All strategies that apply to a layer; those within the tolerance first, best first.

    Raises:
        LoweringError: none applies, or none is within the tolerance.
    """
    layer = search.kan.layers[index]
    applicable = [strategy for strategy in strategies if strategy.applies(layer)]
    if not applicable:
        raise LoweringError(f"layer {index}: none of {', '.join(s.name for s in strategies)} can write its grids")
    others: list[Strategy] = [ClosedForm() if each.knots is None else CoxDeBoor() for each in search.kan.layers]
    errors = [search.error([*others[:index], strategy, *others[index + 1 :]]) for strategy in applicable]
    within = [error.max_relative_error <= tolerance for error in errors]
    if not any(within):
        best = min(range(len(errors)), key=lambda i: errors[i].max_relative_error)
        raise LoweringError(
            f"layer {index}: no strategy is within the tolerance {tolerance:g}; the best, {applicable[best].name}, is "
            f"off by {errors[best].max_relative_error:.2g} of the output's range ({errors[best].region})"
        )
    seconds: list[dict[int, float]] = [{} for _ in applicable]
    if tune_for:
        good = [i for i, each in enumerate(within) if each]
        alone = KAN.of_layers([layer])
        models = [predicting_model(alone, None, None, [applicable[i]], search.precision) for i in good]
        rows = search.reference.hidden_rows(index, max(tune_for))
        for i, measured in zip(good, seconds_by_rows(models, rows, tune_for), strict=True):
            seconds[i] = measured
    options = [
        _Option(strategy, Candidate(strategy.name, error.max_relative_error, error.region, measured))
        for strategy, error, measured in zip(applicable, errors, seconds, strict=True)
    ]
    fastest = min(_slowness(option) for option in options if option.candidate.max_relative_error <= tolerance)
    # Sorting keeps the order of equals, which is that of preference.
    return sorted(
        options,
        key=lambda option: (
            not option.candidate.max_relative_error <= tolerance,
            max(_slowness(option), fastest + _AS_FAST),
        ),
    )


def _slowness(option: _Option) -> float:
    """The logarithm of the geometric mean of the times; 0 where nothing was timed."""
    seconds = option.candidate.seconds.values()
    return sum(math.log(each) for each in seconds) / max(len(seconds), 1)


def _combine(search: _Search, layers: Sequence[Sequence[_Option]], tolerance: float) -> tuple[list[_Option], float]:
    """The first option of each layer; where their errors add up to too much, the worst layers take more exact ones."""
    chosen = [options[0] for options in layers]
    while True:
        found = search.error([each.strategy for each in chosen])
        if found.max_relative_error <= tolerance:
            return chosen, found.max_relative_error
        better = [min(options, key=lambda option: option.candidate.max_relative_error) for options in layers]
        gains = [
            now.candidate.max_relative_error - best.candidate.max_relative_error
            for now, best in zip(chosen, better, strict=True)
        ]
        worst = int(np.argmax(gains))
        if gains[worst] <= 0:
            raise LoweringError(
                f"layer {worst}: within the tolerance {tolerance:g} by itself, but with the others off by "
                f"{found.max_relative_error:.2g} of the output's range ({found.region})"
            )
        chosen[worst] = better[worst]


def _check(kan: KAN, tolerance: float, tune_for: Sequence[int]) -> None:
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise LoweringError(f"tolerance is {tolerance}; wanted a number above 0")
    if any(rows < 1 for rows in tune_for):
        raise LoweringError(f"tune_for is {list(tune_for)}; wanted numbers of rows, 1 or more")
    for index, layer in enumerate(kan.layers):
        for name, tensor in layer.state_dict().items():
            bad = int((~torch.isfinite(tensor)).sum())
            if bad:
                raise LoweringError(f"layer {index}: {bad} of {tensor.numel()} numbers in {name} are not finite")
        try:
            check_grid(layer.all_knots().detach().float(), layer.degree)
        except ValueError as error:
            raise LoweringError(f"layer {index}: {error}") from None

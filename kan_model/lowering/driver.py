"""Choose by measurement: every strategy that applies, without those that are too far off, the fastest of the rest."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kan_model.bspline import check_grid
from kan_model.layer import KANLayer
from kan_model.lowering.closed_form import ClosedForm
from kan_model.lowering.cox_de_boor import CoxDeBoor
from kan_model.lowering.graph import check
from kan_model.lowering.network import explaining_model, predicting_model
from kan_model.lowering.pieces import Pieces
from kan_model.lowering.precision import PRECISIONS, Precision
from kan_model.lowering.radial_powers import RadialPowers
from kan_model.lowering.reference import Comparison, Reference
from kan_model.lowering.report import Candidate, LayerReport, LoweringError, Report
from kan_model.lowering.segments import Segments
from kan_model.lowering.strategy import Strategy
from kan_model.lowering.timing import LARGEST_BLOCK, preferred_rows, seconds_by_rows
from kan_model.lowering.truncated_powers import TruncatedPowers
from kan_model.network import KAN
from kan_model.transform import InputTransform, OutputTransform

# In order of preference where nothing is timed.
STRATEGIES: tuple[Strategy, ...] = (
    RadialPowers(),
    RadialPowers("monomials"),
    TruncatedPowers(),
    ClosedForm(),
    Segments(5),
    Segments(10),
    Pieces(),
    CoxDeBoor(),
)
# Strategies this close to the fastest (in the logarithm) are as fast: another run would order them otherwise.
_AS_FAST = 0.03
_SCREENING_ROWS = 256
_SCREENING_ROUNDS = 3
# How many times the error of the most exact strategy others may have in a coarse number format.
_COARSE = 3.0
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
    _check(kan, tolerance, tune_for, precision)
    reference = Reference(
        kan, inputs, outputs, training_rows=training_rows, scale=scale, rows_per_region=_SCREENING_ROWS
    )
    search = _Search(kan, inputs, outputs, precision, reference)
    applicable = [_applicable(layer, index, strategies, precision) for index, layer in enumerate(kan.layers)]
    layers = _screen(search, applicable, tolerance)
    if tune_for:
        layers = [_timed(search, index, options, tune_for) for index, options in enumerate(layers)]
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
    """A strategy for one layer, what was found of it, and whether it may be kept."""

    strategy: Strategy
    candidate: Candidate
    within: bool = False


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

    def most_exact(self) -> Comparison:
        """The smallest error found so far."""
        return min(self._found.values(), key=lambda found: found.max_relative_error)

    def candidate(self, strategies: Sequence[Strategy], index: int) -> Candidate:
        """What is found of layer ``index``'s strategy among these."""
        error = self.error(strategies)
        return Candidate(strategies[index].name, error.max_relative_error, error.region, {})


def _applicable(
    layer: KANLayer, index: int, strategies: Sequence[Strategy], precision: Precision
) -> Sequence[Strategy]:
    """The strategies that can write a layer.

    Raises:
        LoweringError: There is none.
    """
    found = [each for each in strategies if each.applies(layer) and (each.has_product or precision == "float32")]
    if not found:
        names = ", ".join(strategy.name for strategy in strategies) or "no strategies"
        raise LoweringError(f"layer {index}: none of {names} can write its grids in {precision}")
    return found


def _screen(search: _Search, applicable: Sequence[Sequence[Strategy]], tolerance: float) -> list[list[_Option]]:
    """Each layer's strategies that are exact enough while the other layers are as exact as can be, and the others.

    Raises:
        LoweringError: A layer has none.
    """
    standing = [options[-1] for options in applicable]
    for _ in range(_SCREENING_ROUNDS):
        layers = [
            [_Option(each, search.candidate([*standing[:i], each, *standing[i + 1 :]], i)) for each in options]
            for i, options in enumerate(applicable)
        ]
        best = [min(options, key=_error) for options in layers]
        if all(_error(option) <= tolerance for option in best):
            break
        if [option.strategy.name for option in best] == [each.name for each in standing]:
            break
        standing = [option.strategy for option in best]
    if any(_error(option) > tolerance for option in best):
        raise LoweringError(_too_far(search, best, tolerance))
    return [_within(options, tolerance, search.precision) for options in layers]


def _within(options: list[_Option], tolerance: float, precision: Precision) -> list[_Option]:
    """Mark what may be kept, and put it first.

    In a coarse number format strategies that cancel lose much more than others, for little time.
    """
    most = tolerance if precision == "float32" else min(tolerance, _COARSE * min(map(_error, options)))
    marked = [replace(option, within=_error(option) <= most) for option in options]
    return sorted(marked, key=lambda option: not option.within)


def _too_far(search: _Search, best: Sequence[_Option], tolerance: float) -> str:
    """Says which layer is to blame: the one that is off most by itself."""
    alone = [
        Reference(KAN.of_layers([layer]), rows_per_region=_SCREENING_ROWS)
        .compare(predicting_model(KAN.of_layers([layer]), None, None, [option.strategy], search.precision))
        .max_relative_error
        for layer, option in zip(search.kan.layers, best, strict=True)
    ]
    index = int(np.argmax(alone))
    search.error([option.strategy for option in best])
    found = search.most_exact()
    return (
        f"layer {index}: no strategy is within the tolerance {tolerance:g}; the best, {best[index].strategy.name}, is "
        f"off by {found.max_relative_error:.2g} of the output's range ({found.region})"
    )


def _timed(search: _Search, index: int, options: Sequence[_Option], tune_for: Sequence[int]) -> list[_Option]:
    """The options with the times of those that may be kept, fastest first."""
    alone = KAN.of_layers([search.kan.layers[index]])
    good = [option for option in options if option.within]
    models = [predicting_model(alone, None, None, [option.strategy], search.precision) for option in good]
    rows = search.reference.hidden_rows(index, LARGEST_BLOCK)
    timed = [
        replace(option, candidate=replace(option.candidate, seconds=seconds))
        for option, seconds in zip(good, seconds_by_rows(models, rows, tune_for), strict=True)
    ]
    fastest = min(map(_slowness, timed))
    # Sorting keeps the order of equals, which is that of preference.
    timed.sort(key=lambda option: max(_slowness(option), fastest + _AS_FAST))
    return timed + [option for option in options if not option.within]


def _error(option: _Option) -> float:
    return option.candidate.max_relative_error


def _slowness(option: _Option) -> float:
    """The logarithm of the geometric mean of the times; 0 where nothing was timed."""
    seconds = option.candidate.seconds.values()
    return sum(math.log(each) for each in seconds) / max(len(seconds), 1)


def _combine(search: _Search, layers: Sequence[Sequence[_Option]], tolerance: float) -> tuple[list[_Option], float]:
    """The first option of each layer; where their errors add up to too much, the worst layers take more exact ones."""
    chosen = [next(option for option in options if option.within) for options in layers]
    while True:
        found = search.error([each.strategy for each in chosen])
        if found.max_relative_error <= tolerance:
            return chosen, found.max_relative_error
        most_exact = [min(options, key=_error) for options in layers]
        gains = [_error(now) - _error(best) for now, best in zip(chosen, most_exact, strict=True)]
        worst = int(np.argmax(gains))
        if gains[worst] <= 0:
            raise LoweringError(_too_far(search, chosen, tolerance))
        chosen[worst] = _first_enough(search, chosen, worst, layers[worst], tolerance) or most_exact[worst]


def _first_enough(
    search: _Search, chosen: Sequence[_Option], index: int, options: Sequence[_Option], tolerance: float
) -> _Option | None:
    """The first option of a layer with which the whole network is within the tolerance, if there is one."""
    for option in options:
        if option.within and _error(option) < _error(chosen[index]):
            strategies = [each.strategy for each in (*chosen[:index], option, *chosen[index + 1 :])]
            if search.error(strategies).max_relative_error <= tolerance:
                return option
    return None


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
                raise LoweringError(f"layer {index}: {bad} of {tensor.numel()} numbers in {name} are not finite")
        try:
            check_grid(layer.all_knots().detach().float(), layer.degree)
        except ValueError as error:
            raise LoweringError(f"layer {index}: {error}") from None

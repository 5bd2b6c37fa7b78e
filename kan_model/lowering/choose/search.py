"""Choose a strategy for each layer: the fastest that is exact enough, with the whole network within the tolerance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kan_model.lowering.checks.reference import Comparison, Reference
from kan_model.lowering.choose.report import LoweringError, StrategyTrial
from kan_model.lowering.choose.timing import LARGEST_BLOCK, seconds_by_rows
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.emit.precision import Precision
from kan_model.lowering.strategies.strategy import Strategy
from kan_model.network.layer import KANLayer
from kan_model.network.network import KAN
from kan_model.network.transform import InputTransform, OutputTransform

SCREENING_ROWS = 256
# Strategies within 3 % of the fastest (0.03 in the logarithm) count as equally fast: timings vary by as much.
_AS_FAST = 0.03
# In float16 and int8 a strategy may have at most this many times the error of the most exact one.
_COARSE = 3.0


@dataclass(frozen=True)
class Option:
    """A strategy for one layer, its trial, and whether it is within the error bound."""

    strategy: Strategy
    candidate: StrategyTrial
    is_within: bool = False


class Search:
    """Computes the error of the whole network for given strategies of its layers, each combination once."""

    def __init__(
        self,
        kan: KAN,
        inputs: InputTransform | None,
        outputs: OutputTransform | None,
        precision: Precision,
        reference: Reference,
    ) -> None:
        self.kan, self.precision, self.reference = kan, precision, reference
        self.layers: Sequence[KANLayer] = kan.layers
        self._inputs, self._outputs = inputs, outputs
        self._found: dict[tuple[str, ...], Comparison] = {}

    def error(self, strategies: Sequence[Strategy]) -> Comparison:
        """The error of the network when its layers are written by these strategies."""
        names = tuple(strategy.name for strategy in strategies)
        if names not in self._found:
            model = predicting_model(self.kan, self._inputs, self._outputs, strategies, self.precision)
            self._found[names] = self.reference.compare(model)
        return self._found[names]

    def most_exact(self) -> tuple[tuple[str, ...], Comparison]:
        """The combination with the smallest error found so far: the names of the strategies, and the error."""
        return min(self._found.items(), key=lambda found: found[1].max_relative_error)

    def candidate(self, strategies: Sequence[Strategy], index: int) -> StrategyTrial:
        """The trial of layer ``index``'s strategy, the other layers being written by theirs."""
        error = self.error(strategies)
        return StrategyTrial(strategies[index].name, error.max_relative_error, error.region, {})


def applicable_strategies(
    layer: KANLayer, index: int, strategies: Sequence[Strategy], precision: Precision
) -> Sequence[Strategy]:
    """The strategies that can write a layer.

    Raises:
        LoweringError: no strategy can.
    """
    found = [each for each in strategies if each.applies(layer) and (each.has_product or precision == "float32")]
    if not found:
        names = ", ".join(strategy.name for strategy in strategies) or "no strategies"
        raise LoweringError(f"layer {index}: none of {names} can write its grids in {precision}")
    return found


def screen(search: Search, candidates: Sequence[Sequence[Strategy]], tolerance: float) -> list[list[Option]]:
    """Try each strategy of each layer, while the other layers keep theirs: at first the last ones of the candidates.

    Where a layer has no option within the tolerance, the change of one layer that lowers the error most is made, and
    all is tried again.

    Returns:
        For each layer its options, those within the tolerance first.

    Raises:
        LoweringError: no change of one layer lowers the error any more, and a layer has no option within the tolerance.
    """
    standing = [options[-1] for options in candidates]
    # This ends: each change lowers the error or, at an equal one, takes a strategy that comes earlier.
    while True:
        layers = [
            [Option(each, search.candidate([*standing[:i], each, *standing[i + 1 :]], i)) for each in options]
            for i, options in enumerate(candidates)
        ]
        best = [most_exact(options) for options in layers]
        if all(_error(option) <= tolerance for option in best):
            return [mark_within(options, tolerance, search.precision) for options in layers]
        index = int(np.argmin([_error(option) for option in best]))
        if best[index].strategy.name == standing[index].name:
            raise LoweringError(_describe_failure(search, best, tolerance))
        standing[index] = best[index].strategy


def mark_within(options: Sequence[Option], tolerance: float, precision: Precision) -> list[Option]:
    """Mark the options that are within the error bound, and put them first.

    In float16 and int8 the bound is stricter: a strategy with cancellation loses many digits and gains little time.
    """
    most = tolerance if precision == "float32" else min(tolerance, _COARSE * min(map(_error, options)))
    marked = [replace(option, is_within=_error(option) <= most) for option in options]
    return sorted(marked, key=lambda option: not option.is_within)


def _describe_failure(search: Search, best: Sequence[Option], tolerance: float) -> str:
    """The message of a LoweringError. It names the layer that has the largest error alone."""
    alone = [
        Reference(KAN.of_layers([layer]), rows_per_region=SCREENING_ROWS)
        .compare(predicting_model(KAN.of_layers([layer]), None, None, [option.strategy], search.precision))
        .max_relative_error
        for layer, option in zip(search.layers, best, strict=True)
    ]
    index = int(np.argmax(alone))
    search.error([option.strategy for option in best])
    _, found = search.most_exact()
    return (
        f"layer {index}: no strategy is within the tolerance {tolerance:g}; the best, {best[index].strategy.name}, is "
        f"off by {found.max_relative_error:.2g} of the output's range ({found.region})"
    )


def time_options(search: Search, index: int, options: Sequence[Option], tune_for: Sequence[int]) -> list[Option]:
    """Time the options that are within the error bound; these come first, the fastest first."""
    alone = KAN.of_layers([search.layers[index]])
    good = [option for option in options if option.is_within]
    models = [predicting_model(alone, None, None, [option.strategy], search.precision) for option in good]
    rows = search.reference.hidden_rows(index, LARGEST_BLOCK)
    measured = [
        replace(option, candidate=replace(option.candidate, seconds=seconds))
        for option, seconds in zip(good, seconds_by_rows(models, rows, tune_for), strict=True)
    ]
    fastest = min(map(_slowness, measured))
    # The sort is stable: options that are equally fast stay in the order of preference.
    measured.sort(key=lambda option: max(_slowness(option), fastest + _AS_FAST))
    return measured + [option for option in options if not option.is_within]


def most_exact(options: Sequence[Option]) -> Option:
    """The option with the smallest error."""
    return min(options, key=_error)


def _error(option: Option) -> float:
    return option.candidate.max_relative_error


def _slowness(option: Option) -> float:
    """The logarithm of the geometric mean of the times; 0 if nothing was timed."""
    seconds = option.candidate.seconds.values()
    return sum(math.log(each) for each in seconds) / max(len(seconds), 1)


def combine(search: Search, layers: Sequence[Sequence[Option]], tolerance: float) -> tuple[list[Option], float]:
    """The first option of each layer. If the whole network then exceeds the tolerance, layers take more exact options.

    Args:
        search: Computes errors of the network. It has found a combination of these options within the tolerance.
        layers: The options of each layer, those within the error bound first.
        tolerance: Bound on the error.

    Returns:
        The option of each layer, and the error of the whole network.
    """
    chosen = [next(option for option in options if option.is_within) for options in layers]
    exact = [most_exact(options) for options in layers]
    while _combined_error(search, chosen) > tolerance:
        gains = [_error(now) - _error(best) for now, best in zip(chosen, exact, strict=True)]
        worst = int(np.argmax(gains))
        if gains[worst] <= 0:
            # Options that are the most exact ones beside others may be too far off together.
            names, _ = search.most_exact()
            chosen = [_option_of(options, name) for options, name in zip(layers, names, strict=True)]
            break
        chosen[worst] = _first_within(search, chosen, worst, layers[worst], tolerance) or exact[worst]
    # A layer that became more exact early may be more exact than needed now, after later layers changed too.
    for index, options in enumerate(layers):
        chosen[index] = _first_within(search, chosen, index, options, tolerance) or chosen[index]
    return chosen, _combined_error(search, chosen)


def _combined_error(search: Search, options: Sequence[Option]) -> float:
    return search.error([each.strategy for each in options]).max_relative_error


def _option_of(options: Sequence[Option], name: str) -> Option:
    return next(option for option in options if option.strategy.name == name)


def _first_within(
    search: Search, chosen: Sequence[Option], index: int, options: Sequence[Option], tolerance: float
) -> Option | None:
    """The first option of a layer with which the whole network is within the tolerance; None: there is none."""
    for option in options:
        if option.is_within and _combined_error(search, [*chosen[:index], option, *chosen[index + 1 :]]) <= tolerance:
            return option
    return None

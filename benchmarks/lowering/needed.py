"""Which lowering strategies do trained networks need? ``python -m benchmarks.lowering.needed FILE``.

200 small networks of different shapes, grids, degrees and policies are trained. For each network, tolerance and batch
size the fastest graph within the tolerance is found, first with all strategies, then without each of them. A strategy
is needed if without it no graph is within the tolerance, or if a layer then takes more than 5 % longer each time.
The results go to FILE, one line of JSON a network; a second run continues with the networks that FILE lacks. All of it
takes 15 minutes of processor time with OPENBLAS_NUM_THREADS=1, which is also necessary on a busy machine.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common.markdown import render
from benchmarks.common.sessions import caller, open_session
from benchmarks.common.timing import interleave
from benchmarks.lowering.trained import setup, train
from kan_model import KAN
from kan_model.lowering import LoweringError
from kan_model.lowering.checks.reference import Reference
from kan_model.lowering.choose.search import SCREENING_ROWS, Option, Search, applicable_strategies, combine, screen
from kan_model.lowering.choose.timing import LARGEST_BLOCK
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.emit.network import predicting_model
from kan_model.lowering.strategies.strategy import Strategy

NETWORKS = 200
TOLERANCES = (1e-4, 1e-5, 1e-6)
MOST_LOSS = 1.05
# 1024 rows run in blocks of the faster size, as in kan_model.lowering.choose.timing.
_BLOCKS = {1: (1,), 64: (64,), 1024: (32, 128)}
# Times within 3 % count as equal, as in kan_model.lowering.choose.search.
_AS_FAST = 1.03
_ROUNDS, _ROUNDS_AGAIN, _REPEATS = 5, 15, 3
_NEAR = 1.5


@dataclass(frozen=True)
class Choice:
    """The strategies chosen for a network, and what leaving out one of them costs.

    Attributes:
        tolerance: The tolerance.
        tune_for: The batch size in rows.
        chosen: The strategy of each layer; empty: nothing is within the tolerance.
        loss: By strategy the largest ratio of a layer's times without and with it, at least 1; infinite if without it
            nothing is within the tolerance. Strategies that are missing here are not the fastest in any layer.
    """

    tolerance: float
    tune_for: int
    chosen: tuple[str, ...]
    loss: Mapping[str, float]


def main() -> None:
    """Measure the networks that FILE lacks, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lowering.needed", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE", help="the results, one line of JSON a network")
    parser.add_argument("--networks", type=int, default=NETWORKS, help=f"how many networks; {NETWORKS} if left out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for index in range(len(_read(arguments.file)), arguments.networks):
        each = setup(index)
        line = {"setup": asdict(each), "choices": [asdict(choice) for choice in measure(*train(each))]}
        with arguments.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{index + 1} of {arguments.networks}: {each}", flush=True)
    print(table(_read(arguments.file)))


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """A line per strategy: how often it is chosen, how often needed, and the largest loss without it."""
    choices = [choice for result in results for choice in result["choices"] if choice["chosen"]]
    chosen = Counter(name for choice in choices for name in choice["chosen"])
    layers = sum(chosen.values())
    lines = [["left out", "chosen, % of layers", "networks that need it", "nothing else passes", "largest loss"]]
    for name in (strategy.name for strategy in STRATEGIES):
        losses = [[choice["loss"].get(name, 1.0) for choice in result["choices"]] for result in results]
        finite = [loss for each in losses for loss in each if loss < math.inf]
        lines.append(
            [
                name,
                f"{100 * chosen[name] / layers:.1f}",
                str(sum(max(each) > MOST_LOSS for each in losses)),
                str(sum(max(each) == math.inf for each in losses)),
                f"{100 * (max(finite) - 1):.0f} %",
            ]
        )
    return f"{len(results)} networks, {len(choices)} choices, {layers} layers\n\n{render(lines)}"


def measure(kan: KAN, rows: torch.Tensor) -> list[Choice]:
    """The choices for one network.

    Args:
        kan: The trained network.
        rows: ``[rows, inputs]``, its training rows.
    """
    reference = Reference(kan, training_rows=rows.numpy(), rows_per_region=SCREENING_ROWS)
    search = Search(kan, None, None, "float32", reference)
    candidates = [applicable_strategies(layer, i, STRATEGIES, "float32") for i, layer in enumerate(kan.layers)]
    timed = {
        tune_for: [_time_layer(search, i, each, tune_for, _ROUNDS) for i, each in enumerate(candidates)]
        for tune_for in _BLOCKS
    }
    choices = []
    for tolerance in TOLERANCES:
        try:
            layers = screen(search, candidates, tolerance)
        except LoweringError:
            choices += [Choice(tolerance, tune_for, (), {}) for tune_for in _BLOCKS]
            continue
        choices += [_Trial(search, layers, tolerance, size).choose(timed[size]) for size in _BLOCKS]
    return choices


@dataclass(frozen=True)
class _Trial:
    """One network, tolerance and batch size. ``slowness`` is the time of each strategy, layer by layer.

    Attributes:
        search: Holds the network.
        layers: The strategies of each layer, in the order of preference.
        tolerance: The tolerance.
        tune_for: The batch size in rows.
    """

    search: Search
    layers: Sequence[Sequence[Option]]
    tolerance: float
    tune_for: int

    def choose(self, slowness: Sequence[Mapping[str, float]]) -> Choice:
        """The choice with all strategies, and the loss without each of the fastest."""
        chosen = self._find_fastest(slowness, as_fast=_AS_FAST)
        fastest = self._find_fastest(slowness)
        if chosen is None or fastest is None:
            return Choice(self.tolerance, self.tune_for, (), {})
        names = dict.fromkeys(strategy.name for strategy in fastest)
        loss = {name: self._measure_loss(slowness, name) for name in names}
        return Choice(self.tolerance, self.tune_for, tuple(strategy.name for strategy in chosen), loss)

    def _measure_loss(self, slowness: Sequence[Mapping[str, float]], name: str) -> float:
        """The ratio of times without and with a strategy, at least 1.

        Other work on the machine adds noise. So if the ratio is between 1.05 and 1.5, all strategies that are about as
        fast are timed again, up to three times, and the smallest ratio counts.
        """
        ratio = self._ratio(slowness, name)
        for _ in range(_REPEATS):
            if not MOST_LOSS < ratio <= _NEAR:
                break
            again = [self._time_again(index, times) for index, times in enumerate(slowness)]
            ratio = min(ratio, self._ratio(again, name))
        return ratio

    def _ratio(self, slowness: Sequence[Mapping[str, float]], name: str) -> float:
        """The largest ratio of a layer's times without and with the strategy; infinite if nothing passes without it."""
        fastest, others = self._find_fastest(slowness), self._find_fastest(slowness, left_out=name)
        if fastest is None or others is None:
            return math.inf
        pairs = zip(slowness, others, fastest, strict=True)
        return max(1.0, *(times[other.name] / times[best.name] for times, other, best in pairs))

    def _time_again(self, index: int, slowness: Mapping[str, float]) -> dict[str, float]:
        """New times of the strategies of one layer that are within the tolerance and about as fast as the fastest."""
        within = [option.strategy for option in self.layers[index] if option.is_within]
        fastest = min(slowness[strategy.name] for strategy in within)
        near = [strategy for strategy in within if slowness[strategy.name] <= _NEAR * fastest]
        return {**slowness, **_time_layer(self.search, index, near, self.tune_for, _ROUNDS_AGAIN)}

    def _find_fastest(
        self, slowness: Sequence[Mapping[str, float]], left_out: str = "", as_fast: float = 1.0
    ) -> list[Strategy] | None:
        """The fastest strategies with which the network is within the tolerance; None: there are none.

        Strategies that take at most ``as_fast`` times as long as the fastest stay in the order of preference.
        """
        sorted_layers = []
        for layer, times in zip(self.layers, slowness, strict=True):
            options = [option for option in layer if option.strategy.name != left_out]
            within = [times[option.strategy.name] for option in options if option.is_within]
            if not within:
                return None
            fastest = min(within)
            sorted_layers.append(sorted(options, key=lambda each: max(times[each.strategy.name], as_fast * fastest)))
        try:
            return [option.strategy for option in combine(self.search, sorted_layers, self.tolerance)[0]]
        except LoweringError:
            return None


def _time_layer(
    search: Search, index: int, strategies: Sequence[Strategy], tune_for: int, rounds: int
) -> dict[str, float]:
    """Processor time of one layer alone by strategy: the minimum of interleaved samples."""
    alone = KAN.of_layers([search.kan.layers[index]])
    models = [predicting_model(alone, None, None, [strategy]) for strategy in strategies]
    sessions = [open_session(model.SerializeToString()) for model in models]
    rows = search.reference.hidden_rows(index, LARGEST_BLOCK)
    found = []
    for block in _BLOCKS[tune_for]:
        calls = [caller(session, (np.ascontiguousarray(rows[:block]),), block) for session in sessions]
        found.append([tune_for / block * timing.minimum for timing in interleave(calls, 0, rounds)])
    return {strategy.name: min(times) for strategy, *times in zip(strategies, *found, strict=True)}


def _read(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


if __name__ == "__main__":
    main()

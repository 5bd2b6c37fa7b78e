"""The report of a lowering: the strategies tried for each layer, and the one that was kept."""

from collections.abc import Mapping
from dataclasses import dataclass


class LoweringError(ValueError):
    """The network cannot be written as a graph within the tolerance."""


@dataclass(frozen=True)
class StrategyTrial:
    """The trial of one strategy for one layer.

    Attributes:
        strategy: Name of the strategy.
        max_relative_error: Error against float64 of the whole network with this strategy in this layer.
        region: The region of that error.
        seconds: Time of the layer alone, by number of rows; empty if it was not timed.
    """

    strategy: str
    max_relative_error: float
    region: str
    seconds: Mapping[int, float]


@dataclass(frozen=True)
class LayerReport:
    """The strategies of one layer.

    Attributes:
        strategy: Name of the strategy that was kept.
        candidates: The trials of all strategies that apply, the kept one included.
    """

    strategy: str
    candidates: tuple[StrategyTrial, ...]


@dataclass(frozen=True)
class Report:
    """How a network was lowered; ``str()`` of it is a table.

    Attributes:
        layers: One report per layer, first layer first.
        tolerance: The largest error allowed.
        max_relative_error: The error of the graph that was kept.
    """

    layers: tuple[LayerReport, ...]
    tolerance: float
    max_relative_error: float

    def __str__(self) -> str:
        lines = []
        for index, layer in enumerate(self.layers):
            for candidate in layer.candidates:
                times = "  ".join(f"{rows}: {1e6 * value:.1f} µs" for rows, value in candidate.seconds.items())
                kept = "kept" if candidate.strategy == layer.strategy else ""
                if candidate.max_relative_error > self.tolerance:
                    kept = f"too far off ({candidate.region})"
                lines.append(
                    f"layer {index}  {candidate.strategy:30} error {candidate.max_relative_error:.1e}  {times}  {kept}"
                )
        return "\n".join(lines)

"""What was tried for each layer, and what was kept."""

from collections.abc import Mapping
from dataclasses import dataclass


class LoweringError(ValueError):
    """The network cannot be written as a graph within the tolerance."""


@dataclass(frozen=True)
class StrategyTrial:
    """One strategy for one layer.

    Attributes:
        strategy: Its name.
        max_relative_error: Of the whole network with this strategy in this layer, against float64.
        region: Where that error lies.
        seconds: For the layer alone, by rows; empty where it was not timed.
    """

    strategy: str
    max_relative_error: float
    region: str
    seconds: Mapping[int, float]


@dataclass(frozen=True)
class LayerReport:
    """The candidates of one layer.

    Attributes:
        strategy: The name of the one that was kept.
        candidates: All that apply, the kept one among them.
    """

    strategy: str
    candidates: tuple[StrategyTrial, ...]


@dataclass(frozen=True)
class Report:
    """How a network was lowered; ``str()`` of it is a table.

    Attributes:
        layers: First layer first.
        tolerance: What errors were held against.
        max_relative_error: Of the graph that was kept.
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
                    f"layer {index}  {candidate.strategy:26} error {candidate.max_relative_error:.1e}  {times}  {kept}"
                )
        return "\n".join(lines)

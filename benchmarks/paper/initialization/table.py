"""The results as tables, and which starts are worse than the paper's."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.common.markdown import render
from benchmarks.paper.initialization.study import CONTROL, Result
from kan_model.network.initialization import INITIALIZATIONS

STARTS = (*INITIALIZATIONS, CONTROL)
# Experiments whose errors are compared by their logarithms: they differ by powers of ten.
_FUNCTIONS = ("staircase", "feynman")


@dataclass(frozen=True)
class Cell:
    """The errors of one experiment, one depth and one start.

    Attributes:
        errors: One a seed; for several equations their geometric mean.
        is_logarithmic: Whether they are compared by their logarithms.
    """

    errors: tuple[float, ...]
    is_logarithmic: bool

    @property
    def median(self) -> float:
        """Of the seeds."""
        return statistics.median(self.errors)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and the upper one, of the seeds; one seed is both."""
        if len(self.errors) == 1:
            return self.errors[0], self.errors[0]
        low, _, high = statistics.quantiles(self.errors, n=4, method="inclusive")
        return low, high

    def is_worse_than(self, other: "Cell") -> bool:
        """Whether the median is higher by more than the distance of the other's quartiles."""
        low, high = map(self._scaled, other.quartiles)
        return self._scaled(self.median) - self._scaled(other.median) > high - low

    def _scaled(self, error: float) -> float:
        return math.log(error) if self.is_logarithmic else error


Cells = dict[tuple[str, int, str], Cell]


def cells_of(results: Sequence[Result]) -> Cells:
    """The cells by experiment, depth and start."""
    by_seed: dict[tuple[str, int, str], dict[int, list[float]]] = {}
    for each in results:
        place = (each.experiment, each.depth, each.start)
        by_seed.setdefault(place, {}).setdefault(each.seed, []).append(each.error)
    found = {}
    for place, seeds in by_seed.items():
        # A seed that was cut short lacks equations.
        whole = max(map(len, seeds.values()))
        errors = tuple(_geometric_mean(errors) for errors in seeds.values() if len(errors) == whole)
        found[place] = Cell(errors, place[0] in _FUNCTIONS)
    return found


def error_table(cells: Cells) -> str:
    """Medians and quartiles; a start that is worse than the paper's is marked."""
    starts = [start for start in STARTS if any(place[2] == start for place in cells)]
    rows = [["experiment", "layers", *starts]]
    for experiment, depth in dict.fromkeys(place[:2] for place in cells):
        reference = cells.get((experiment, depth, "paper"))
        found = [cells.get((experiment, depth, start)) for start in starts]
        rows.append([experiment, str(depth), *(_shown(cell, reference) for cell in found)])
    return render(rows)


def equation_table(results: Sequence[Result]) -> str:
    """The median error of each equation, for each start."""
    errors: dict[tuple[str, int], dict[str, list[float]]] = {}
    for each in results:
        if each.part:
            errors.setdefault((each.part, each.depth), {}).setdefault(each.start, []).append(each.error)
    starts = [start for start in STARTS if any(start in by_start for by_start in errors.values())]
    rows = [["equation", "layers", *starts]]
    for (part, depth), by_start in sorted(errors.items(), key=lambda item: item[0][1]):
        medians = (f"{statistics.median(by_start[start]):.2e}" if start in by_start else "" for start in starts)
        rows.append([part, str(depth), *medians])
    return render(rows)


def verdict_table(cells: Cells) -> str:
    """For each start, the error over that of the paper's start, and where it is worse."""
    rows = [["start", "error / paper's, geometric mean", "lower in", "worse in"]]
    for start in STARTS[1:]:
        pairs = {
            (experiment, depth): (cell, cells[experiment, depth, "paper"])
            for (experiment, depth, name), cell in cells.items()
            if name == start and (experiment, depth, "paper") in cells
        }
        if not pairs:
            continue
        ratio = _geometric_mean(own.median / reference.median for own, reference in pairs.values())
        lower = sum(own.median < reference.median for own, reference in pairs.values())
        worse = [f"{name} {depth}" for (name, depth), (own, other) in pairs.items() if own.is_worse_than(other)]
        rows.append([start, f"{ratio:.3f}", f"{lower} of {len(pairs)}", ", ".join(worse) or "none"])
    return render(rows)


def _shown(cell: Cell | None, reference: Cell | None) -> str:
    if cell is None:
        return ""
    low, high = cell.quartiles
    mark = " worse" if reference is not None and cell.is_worse_than(reference) else ""
    return f"{cell.median:.3g} ({low:.3g} to {high:.3g}){mark}"


def _geometric_mean(values: Iterable[float]) -> float:
    values = list(values)
    if 0 in values:
        return 0.0
    return math.exp(statistics.fmean(math.log(value) for value in values))

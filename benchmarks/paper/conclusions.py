"""What an experiment concludes, and the spread in which a fresh seed has to conclude the same.

The tables have hundreds of numbers, and some of so many lie outside of every range that says something. A conclusion is
one number of a whole experiment: the mean over its cells of one number of each run. A cell is a case with a contender,
such as an equation, or several cases that share their rows: those of one seed fail together, and count as one. Cells
and seeds are independent, so the variance of a fresh seed's conclusion around the others' mean is

    Σ s_c² · (1 + 1/n_c) / K²

with the variance s_c² over the n_c seeds of cell c, and K cells. Its degrees of freedom are those of Welch and
Satterthwaite. Of a share the variance is p·(1 − p) with p = (successes + 1/2) / (n_c + 1), because three equal results
do not mean that the fourth is equal (Jeffreys). The spread is mean ± t · deviation, and t is so wide (Bonferroni) that
with 95 % *all* conclusions of the page lie within their spreads.
"""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import t

from benchmarks.common.markdown import render
from benchmarks.paper.experiment import Conclusion, Experiment, Outcome

_SHARE = 0.95
# Sums in another order differ in their last digits.
_ROUNDING = 1e-9
_HEADING = f"""## Does a fresh seed say the same?

Each experiment is run once more, from a seed that its plan lacks (`python -m benchmarks.paper NAME --fresh`), and its
conclusions are compared with those of the other seeds. A conclusion is the mean of one number over all functions,
equations, laws or networks of an experiment; of errors and ratios it is the geometric mean. The *spread* is the range
for a further seed, computed from the differences between the seeds. It is so wide that with {100 * _SHARE:g} % all
conclusions of this table lie within. Few seeds, or seeds that differ much, give a wide spread.

The rule was made before these fresh seeds were run, but for one part. Ten laws at four levels of noise were taken as 40
results that do not depend on each other. The fresh seed's share of gplearn, 0.2, then lay outside of 0.236 to 0.602.
But the four levels of a law share their rows and the seed of the search, and are found or missed together. So they
count as one.
"""


@dataclass(frozen=True)
class Verdict:
    """A conclusion of a fresh seed beside the spread of the other seeds.

    Attributes:
        title: Of the experiment.
        name: Of the conclusion.
        seeds: The fewest and the most seeds of a cell.
        value: From all seeds but the fresh one.
        low: Lower end of the spread.
        high: Upper end.
        fresh: From the fresh seed; None: it has not run in all cells.
    """

    title: str
    name: str
    seeds: tuple[int, int]
    value: float
    low: float
    high: float
    fresh: float | None

    @property
    def is_inside(self) -> bool:
        """Whether there is a fresh seed and it lies within the spread."""
        if self.fresh is None:
            return False
        ends = (self.low, self.high)
        return self.low <= self.fresh <= self.high or any(
            math.isclose(self.fresh, end, rel_tol=_ROUNDING) for end in ends
        )


_Cells = Mapping[Hashable, Sequence[float]]


def conclude(found: Sequence[tuple[Experiment, Sequence[Outcome], Sequence[Outcome]]]) -> list[Verdict]:
    """All conclusions of some experiments whose cells have two or more seeds.

    Args:
        found: Experiments, each with its outcomes and those of its fresh seed.
    """
    given = [
        (experiment.title, conclusion, _cells(conclusion, outcomes), _cells(conclusion, fresh))
        for experiment, outcomes, fresh in found
        for conclusion in experiment.conclusions
    ]
    told = [each for each in given if each[2] and all(len(values) > 1 for values in each[2].values())]
    return [_verdict(*each, (1 - _SHARE) / len(told)) for each in told]


def show_verdicts(verdicts: Sequence[Verdict]) -> str:
    """The section of the page; "" without a fresh seed."""
    judged = [each for each in verdicts if each.fresh is not None]
    if not judged:
        return ""
    rows = [["experiment", "conclusion", "seeds", "value", "spread", "fresh seed", "within"]]
    rows += [_row(each) for each in verdicts]
    inside = sum(each.is_inside for each in judged)
    lie = f"{inside} of {len(judged)} conclusions of fresh seeds lie within their spread."
    return f"{_HEADING}\n{lie}\n\n{render(rows)}"


def spread_of(cells: Sequence[Sequence[float]], outside: float, is_share: bool = False) -> tuple[float, float]:
    """The range in which the mean over the cells of one further number each lies, but for a probability.

    Args:
        cells: Two or more numbers each.
        outside: The probability, of both sides together.
        is_share: Whether the numbers are 0 or 1.
    """
    middle = _mean(cells)
    variances = [_share_variance(values) if is_share else statistics.variance(values) for values in cells]
    parts = [
        variance * (1 + 1 / len(values)) / len(cells) ** 2 for variance, values in zip(variances, cells, strict=True)
    ]
    variance = sum(parts)
    if variance == 0:
        return middle, middle
    freedom = variance**2 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, cells, strict=True))
    half = float(t.ppf(1 - outside / 2, math.inf if is_share else freedom)) * math.sqrt(variance)
    if is_share:
        # A count is a whole number: half of one more on each side.
        half += 0.5 / len(cells)
        return max(middle - half, 0.0), min(middle + half, 1.0)
    return middle - half, middle + half


def _mean(cells: Sequence[Sequence[float]]) -> float:
    return statistics.mean(map(statistics.mean, cells))


def _share_variance(values: Sequence[float]) -> float:
    share = (sum(values) + 0.5) / (len(values) + 1)
    return share * (1 - share)


def _cells(conclusion: Conclusion, outcomes: Sequence[Outcome]) -> _Cells:
    """By cell the numbers of its seeds; logarithms of ratios."""
    cells: dict[Hashable, dict[int, list[float]]] = {}
    for outcome in outcomes:
        value = conclusion.of(outcome)
        if value is not None:
            one = math.log(value) if conclusion.kind == "ratio" else value
            cells.setdefault(conclusion.cell(outcome.run), {}).setdefault(outcome.run.seed, []).append(one)
    return {cell: [statistics.mean(values) for values in seeds.values()] for cell, seeds in cells.items()}


def _verdict(title: str, conclusion: Conclusion, cells: _Cells, fresh: _Cells, outside: float) -> Verdict:
    low, high = spread_of(list(cells.values()), outside, conclusion.kind == "share")
    seeds = [len(values) for values in cells.values()]
    value, low, high = (_in_unit(conclusion, number) for number in (_mean(list(cells.values())), low, high))
    again = _in_unit(conclusion, _mean(list(fresh.values()))) if fresh.keys() == cells.keys() else None
    return Verdict(title, conclusion.name, (min(seeds), max(seeds)), value, low, high, again)


def _in_unit(conclusion: Conclusion, number: float) -> float:
    return math.exp(max(-700, min(700, number))) if conclusion.kind == "ratio" else number


def _row(verdict: Verdict) -> list[str]:
    seeds = " to ".join(str(count) for count in dict.fromkeys(verdict.seeds))
    ends = f"{verdict.low:.3g} to {verdict.high:.3g}"
    known = [verdict.title, verdict.name, seeds, f"{verdict.value:.3g}", ends]
    if verdict.fresh is None:
        return [*known, "", "not run"]
    return [*known, f"{verdict.fresh:.3g}", "yes" if verdict.is_inside else "**no**"]

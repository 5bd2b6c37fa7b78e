"""A fresh seed of an experiment: one that its plan lacks, and whether it lies within the spread of the others.

The spread of n seeds is the range in which a further one lies with 95 %, if logarithms of the numbers are normal:
mean ± t·s·√(1 + 1/n), t of Student's distribution. Few seeds say little of their deviation: for four t is 3.18.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scipy.stats import binomtest, t

from benchmarks.paper.experiment import Experiment, Number, Outcome, Run
from benchmarks.paper.outcomes import by_contender

_SHARE, _SIGNIFICANCE = 0.95, 0.05
# Their results are few and discrete: three equal errors of three seeds do not mean that the next one is equal.
_DISCRETE = ("gplearn",)
# Numbers are kept to six digits.
_SAME = 1e-5


@dataclass(frozen=True)
class Comparison:
    """One number of a fresh seed beside those of the other seeds.

    Attributes:
        run: The fresh run.
        name: Of the number; of a list with its place.
        value: From the fresh seed.
        low: Lower end of the spread.
        high: Upper end.
    """

    run: Run
    name: str
    value: float
    low: float
    high: float

    @property
    def is_inside(self) -> bool:
        """Whether the number lies within the spread, to the digits that are kept."""
        ends = (self.low, self.high)
        return self.low <= self.value <= self.high or any(math.isclose(self.value, end, rel_tol=_SAME) for end in ends)


def fresh_runs(experiment: Experiment) -> list[Run]:
    """The runs of a full plan's first seed, from the seed after its last."""
    runs = experiment.plan(False)
    first, last = (end(run.seed for run in runs) for end in (min, max))
    return [Run(run.case, run.contender, last + 1) for run in runs if run.seed == first]


def compare(experiment: Experiment, outcomes: Sequence[Outcome], fresh: Sequence[Outcome]) -> list[Comparison]:
    """The numbers that the experiment compares, of each fresh run whose other seeds are at least two."""
    return [
        Comparison(one.run, name, values[-1], *spread_of(values[:-1]))
        for one in fresh
        for others in [by_contender(outcomes, one.run.case).get(one.run.contender, [])]
        if len(others) > 1
        for name, values in _values([*others, one], experiment.compared)
    ]


def spread_of(values: Sequence[float]) -> tuple[float, float]:
    """The range in which a further seed lies with 95 %: of logarithms, or of the numbers if some are not positive.

    An infinity stands for "nothing was found": with some of them among the seeds, any number above the smallest lies
    within.

    Args:
        values: Of two or more seeds.
    """
    if not all(map(math.isfinite, values)):
        return min(values), math.inf
    if min(values) <= 0:
        return _normal_range(values)
    low, high = _normal_range([math.log(value) for value in values])
    return math.exp(max(low, -700)), math.exp(min(high, 700))


def _normal_range(values: Sequence[float]) -> tuple[float, float]:
    count, middle = len(values), statistics.mean(values)
    half = float(t.ppf((1 + _SHARE) / 2, count - 1)) * statistics.stdev(values) * math.sqrt(1 + 1 / count)
    return middle - half, middle + half


def _values(outcomes: Sequence[Outcome], names: Sequence[str]) -> Iterator[tuple[str, list[float]]]:
    """By name the numbers of all outcomes; of lists those that all have."""
    for name in (name for name in names if all(name in one.numbers for one in outcomes)):
        lists = [_as_list(one.numbers[name]) for one in outcomes]
        is_list = isinstance(outcomes[0].numbers[name], Sequence)
        for place, values in enumerate(zip(*lists, strict=False)):
            yield f"{name} {place + 1}" if is_list else name, list(values)


def _as_list(number: Number) -> list[float]:
    return [float(number)] if isinstance(number, int | float) else [float(each) for each in number]


def told(comparisons: Sequence[Comparison]) -> str:
    """How many lie within, and which do not, as one item of a Markdown list; "" if nothing was compared."""
    if not comparisons:
        return ""
    outside = [each for each in comparisons if not each.is_inside]
    text = (
        f"- A fresh seed ({comparisons[0].run.seed}): {len(comparisons) - len(outside)} of {len(comparisons)} numbers "
        "lie within the spread of the others"
    )
    named = [
        f"{each.run.case}, {each.run.contender}, {each.name}: {each.value:.6g} ({each.low:.6g} to {each.high:.6g})"
        for each in outside
    ]
    return f"{text}; outside: {'; '.join(named)}\n" if named else f"{text}\n"


def told_together(comparisons: Sequence[Comparison]) -> str:
    """How many numbers of all experiments lie within their spreads, as a paragraph; "" if nothing was compared."""
    smooth = [each for each in comparisons if each.run.contender not in _DISCRETE]
    if not comparisons:
        return ""
    text = f"{_share_of(comparisons)} of fresh seeds lie within their spread; {100 * _SHARE:g} % are expected."
    if len(smooth) in (0, len(comparisons)):
        return text
    names = " and ".join(sorted({each.run.contender for each in comparisons if each not in smooth}))
    return (
        f"{text} Without {names} it is {_share_of(smooth)}: its seeds end at one of few formulas, for which deviations "
        "say nothing. This was seen in the numbers, and not foreseen."
    )


def _share_of(comparisons: Sequence[Comparison]) -> str:
    """How many lie within, with Wilson's interval of the share."""
    inside, count = sum(each.is_inside for each in comparisons), len(comparisons)
    low, high = binomtest(inside, count).proportion_ci(1 - _SIGNIFICANCE, "wilson")
    interval = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
    return f"{inside} of {count} numbers ({100 * inside / count:.1f} %, {interval})"

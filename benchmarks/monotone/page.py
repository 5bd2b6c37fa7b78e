"""What was measured, as tables in Markdown."""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy import stats

from benchmarks.common.markdown import render
from benchmarks.monotone.cases import Case
from benchmarks.monotone.outcome import Outcome
from benchmarks.monotone.regimes import NOISES, ROW_COUNTS, Outcomes, Regime
from benchmarks.monotone.truths import Truth

CASES_HEAD = (
    "table",
    "promised",
    "KAN free",
    "KAN monotone",
    "ratio",
    "turned",
    "trees free",
    "trees monotone",
    "ratio",
)
_REGIMES_HEAD = (
    *("rows", "noise", "draws", "KAN free", "ratio", "turned", "ratio outside", "turned outside"),
    *("trees free", "ratio", "turned", "ratio outside"),
)


def case_line(case: Case, kans: Sequence[Outcome], boosted: Sequence[Outcome]) -> list[str]:
    """A line of the table: means over the splits, and the ratio with its range."""
    promised = ", ".join(f"{name} {direction}" for name, direction in case.promised.items())
    turned = f"{_percent([each.turned for each in kans])} → {_percent([each.turned_monotone for each in kans])}"
    return [case.name, promised, *_means(kans), turned, *_means(boosted)]


def regime_table(truth: Truth, measured: Sequence[tuple[Regime, Outcomes]]) -> str:
    """The grid of a truth: a line for each regime, then the means over noises, over numbers of rows, over all.

    A ratio has the half width of its 95 % interval, and is bold where the interval does not hold 1.
    """
    lines = [list(_REGIMES_HEAD)]
    pairs = [(rows, noise) for rows in ROW_COUNTS for noise in NOISES]
    means = [*((rows, None) for rows in ROW_COUNTS), *((None, noise) for noise in NOISES), (None, None)]
    for rows, noise in [*pairs, *means]:
        found = [
            outcomes
            for regime, outcomes in measured
            if regime.truth == truth.name and rows in (None, regime.rows) and noise in (None, regime.noise)
        ]
        names = ["all" if rows is None else f"{rows:,}", "all" if noise is None else f"{noise:g}"]
        lines.append([*names, str(len(found)), *_regime_cells(found)])
    return render(lines)


def worst_turned(measured: Iterable[tuple[Regime, Outcomes]]) -> float:
    """The largest share of rows of any draw whose answer goes the wrong way with the promise."""
    return max(each.turned_monotone for _, outcomes in measured for each in outcomes.values())


def ratio_with_half_width(outcomes: Sequence[Outcome]) -> str:
    """The geometric mean of monotone over free, with its 95 % half width by Student's t of the logarithms."""
    logs = np.log([each.monotone / each.free for each in outcomes])
    mean = np.exp(logs.mean())
    half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    text = f"{mean:.3f} ± {mean * half:.3f}"
    return f"**{text}**" if abs(logs.mean()) > half else text


def _regime_cells(found: Sequence[Outcomes]) -> list[str]:
    kan, kan_outside, boosted, boosted_outside = (
        [outcomes[method, ground] for outcomes in found]
        for method in ("KAN", "trees")
        for ground in ("inside", "outside")
    )
    return [
        f"{np.mean([each.free for each in kan]):.3f}",
        *(ratio_with_half_width(kan), _percent([each.turned for each in kan])),
        *(ratio_with_half_width(kan_outside), _percent([each.turned for each in kan_outside])),
        f"{np.mean([each.free for each in boosted]):.3f}",
        *(ratio_with_half_width(boosted), _percent([each.turned for each in boosted])),
        ratio_with_half_width(boosted_outside),
    ]


def _means(outcomes: Sequence[Outcome]) -> list[str]:
    ratios = [each.monotone / each.free for each in outcomes]
    free, monotone = (np.mean([getattr(each, name) for each in outcomes]) for name in ("free", "monotone"))
    mean = np.exp(np.mean(np.log(ratios)))
    return [f"{free:.3f}", f"{monotone:.3f}", f"{mean:.3f} ({min(ratios):.2f} to {max(ratios):.2f})"]


def _percent(shares: Sequence[float]) -> str:
    return f"{100 * np.mean(shares):.0f} %"

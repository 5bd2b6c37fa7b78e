"""Compare the methods over tables: ranks by mean, ratios by geometric mean, with bootstrap intervals.

An error is RMSE / std for a regression and the log loss for a classification; it is infinite where a fit was cut off or
failed. The example: RMSEs of 2 and 4 over another's 1 and 8 are the ratios 2 and 1/2, in the geometric mean 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
_SAMPLES = 2000
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Measured:
    """The errors on one table.

    Attributes:
        is_classification: Whether errors are log losses.
        errors: The error on each split, by method; infinite where a fit was cut off or failed.
        trivial: The error of the trivial answer on each split.
    """

    is_classification: bool
    errors: Mapping[str, Floats]
    trivial: Floats


@dataclass(frozen=True)
class Estimate:
    """A number over tables, and where 95 % of the bootstrap's samples of tables and splits have it.

    Attributes:
        value: The number; NaN if no table counts.
        low, high: The interval.
        tables: How many tables count.
    """

    value: float
    low: float
    high: float
    tables: int


def mean_ranks(tables: Sequence[Measured], methods: Sequence[str]) -> dict[str, Estimate]:
    """The mean rank of each method by its mean error over the splits; 1 is best, equal errors share their ranks.

    A method that was cut off or failed on any split ranks last on that table.
    """
    by_method = zip(*(_sampled(tables, lambda table, splits: ranks_on(table, methods, splits))), strict=True)
    return {method: _estimate(list(samples), len(tables)) for method, samples in zip(methods, by_method, strict=True)}


def ranks_on(table: Measured, methods: Sequence[str], splits: Places | None = None) -> Floats:
    """The rank of each method on one table, by its mean error over these splits (None: all)."""
    chosen = np.arange(len(table.trivial)) if splits is None else splits
    is_finished = [np.isfinite(table.errors[method]).all() for method in methods]
    means = [table.errors[method][chosen].mean() for method in methods]
    return np.asarray(rankdata(np.where(is_finished, means, np.inf)))


def outcome(table: Measured, ours: str, peer: str) -> Literal["won", "lost", "tied", ""]:
    """Whether ours has the smaller mean error on a table; empty where the peer was cut off or failed: nobody won."""
    if not np.isfinite(table.errors[peer]).all():
        return ""
    mine, other = ranks_on(table, (ours, peer))
    return "won" if mine < other else "lost" if mine > other else "tied"


def error_ratio(tables: Sequence[Measured], ours: str, peer: str) -> Estimate:
    """The geometric mean of ours / the peer's, over regressions that both finished: splits first, then tables."""
    counted = [table for table in tables if not table.is_classification and _both_finished(table, ours, peer)]

    def logarithm(table: Measured, splits: Places) -> Floats:
        return np.array([np.log(table.errors[ours][splits] / table.errors[peer][splits]).mean()])

    samples = [np.exp(sample[0]) for sample in _sampled(counted, logarithm)]
    return _estimate(samples, len(counted))


def loss_difference(tables: Sequence[Measured], ours: str, peer: str) -> Estimate:
    """The mean of (our log loss - the peer's) / that of the class frequencies, over classifications both finished."""
    counted = [table for table in tables if table.is_classification and _both_finished(table, ours, peer)]

    def difference(table: Measured, splits: Places) -> Floats:
        shares = (table.errors[ours] - table.errors[peer]) / table.trivial
        return np.array([shares[splits].mean()])

    samples = [sample[0] for sample in _sampled(counted, difference)]
    return _estimate(samples, len(counted))


def geometric_mean(ratios: Sequence[float]) -> float:
    """The geometric mean; NaN of nothing."""
    return float(np.exp(np.mean(np.log(ratios)))) if len(ratios) else float("nan")


def _both_finished(table: Measured, ours: str, peer: str) -> bool:
    return bool(np.isfinite(table.errors[ours]).all() and np.isfinite(table.errors[peer]).all())


def _sampled(tables: Sequence[Measured], measure: Callable[[Measured, Places], Floats]) -> list[Floats]:
    """The mean over tables of what is measured on each: first of all tables and splits, then of each sample.

    A sample draws tables with replacement, and in each drawn table splits with replacement.
    """
    if not tables:
        return []
    generator = np.random.default_rng(0)
    found = [np.mean([measure(table, np.arange(len(table.trivial))) for table in tables], axis=0)]
    for _ in range(_SAMPLES):
        drawn = [tables[each] for each in generator.integers(len(tables), size=len(tables))]
        parts = [measure(each, generator.integers(len(each.trivial), size=len(each.trivial))) for each in drawn]
        found.append(np.mean(parts, axis=0))
    return found


def _estimate(samples: Sequence[float], tables: int) -> Estimate:
    if not samples:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    low, high = np.percentile(samples[1:], _INTERVAL)
    return Estimate(float(samples[0]), float(low), float(high), tables)

"""The tables of the calibration benchmark, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.calibration.answers import LIGHTGBM, OURS, UNDIVIDED, Answers
from benchmarks.calibration.cost import Cost
from benchmarks.calibration.truth import Fit
from training.calibration.error import bin_by_confidence, error_by_chance

_METHODS = (OURS, UNDIVIDED, LIGHTGBM)
_RESAMPLES = 200


def pool(answers: Sequence[Answers]) -> Answers:
    """The rows of several splits, or of several tables, as one: the confidence and whether it came true."""
    confidence = np.concatenate([each.probabilities.max(axis=1) for each in answers])
    right = np.concatenate([each.probabilities.argmax(axis=1) == each.truth for each in answers])
    # As two classes, the most probable one first: ties at 1/2 go to it.
    return Answers(np.stack([confidence, np.zeros_like(confidence)], axis=1), np.where(right, 0, 1))


def error_of(answers: Sequence[Answers]) -> float:
    """The calibration error of all their rows."""
    pooled = pool(answers)
    return bin_by_confidence(pooled.probabilities, pooled.truth).error


def chance_of(answers: Sequence[Answers]) -> float:
    """What the calibration error of as many rows is on average if these probabilities are right."""
    return error_by_chance(pool(answers).probabilities)


def difference_of(ours: Sequence[Answers], theirs: Sequence[Answers]) -> tuple[float, float]:
    """Our calibration error less theirs, and its standard error over 200 draws of the rows with replacement."""
    both, random = [pool(each) for each in (ours, theirs)], np.random.default_rng(0)
    found = []
    for _ in range(_RESAMPLES):
        rows = random.integers(len(both[0].truth), size=len(both[0].truth))
        drawn = [bin_by_confidence(each.probabilities[rows], each.truth[rows]).error for each in both]
        found.append(drawn[0] - drawn[1])
    return error_of(ours) - error_of(theirs), float(np.std(found))


def page(found: Mapping[str, Sequence[Mapping[str, Answers]]]) -> str:
    """A line a table, the mean over tables, all rows as one and what chance makes of that, and the difference.

    Args:
        found: By table, the answers of each split by method.
    """
    heads = ["table", "splits", "held-out rows", *_METHODS]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    errors = {
        name: {method: error_of([split[method] for split in splits]) for method in _METHODS}
        for name, splits in found.items()
    }
    for name, splits in found.items():
        rows = sum(len(split[OURS].truth) for split in splits)
        lines.append(_line(name, str(len(splits)), f"{rows:,}", errors[name]))
    means = {method: float(np.mean([each[method] for each in errors.values()])) for method in _METHODS}
    lines.append(_line("mean of the tables", "", "", means))
    every = [split for splits in found.values() for split in splits]
    whole = {method: error_of([split[method] for split in every]) for method in _METHODS}
    lines.append(_line("all rows as one", "", f"{sum(len(split[OURS].truth) for split in every):,}", whole))
    chance = {method: chance_of([split[method] for split in every]) for method in _METHODS}
    lines.append(_line("by chance, were they right", "", "", chance))
    difference, error = difference_of(*([split[method] for split in every] for method in (OURS, LIGHTGBM)))
    lines += ["", f"All rows as one, ours less LightGBM's: {difference:+.4f} ± {error:.4f}"]
    return "\n".join(lines) + "\n"


def cost_table(found: Iterable[Cost]) -> str:
    """A line a network and number of rows: microseconds, and their ratio."""
    lines = ["| network | rows | µs, T = 1 | µs, divided | ratio |", "|---|---|---|---|---|"]
    for each in found:
        times = f"{1e6 * each.plain.median:.1f} | {1e6 * each.divided.median:.1f}"
        lines.append(f"| {each.network} | {each.rows:,} | {times} | {each.ratio:.2f} |")
    return "\n".join(lines) + "\n"


def truth_table(found: Iterable[Sequence[Fit]]) -> str:
    """A line for the fits of each number of rows."""
    heads = ["rows", "change of the log loss, mean", "largest rise", "calibration error, T = 1", "T", "members' T"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for fits in found:
        changes = [each.losses[1] - each.losses[0] for each in fits]
        errors = " | ".join(f"{error:.3f}" for error in np.mean([each.errors for each in fits], axis=0))
        lines.append(f"| {fits[0].rows:,} | {np.mean(changes):+.4f} | {max(changes):+.4f} | {errors} |")
    return "\n".join(lines) + "\n"


def holds(found: Mapping[str, Sequence[Mapping[str, Answers]]]) -> bool:
    """Whether our error over all rows is at most LightGBM's."""
    every = [split for splits in found.values() for split in splits]
    return error_of([split[OURS] for split in every]) <= error_of([split[LIGHTGBM] for split in every])


def _line(name: str, splits: str, rows: str, errors: Mapping[str, float]) -> str:
    return "| " + " | ".join([name, splits, rows, *(f"{errors[method]:.4f}" for method in _METHODS)]) + " |"

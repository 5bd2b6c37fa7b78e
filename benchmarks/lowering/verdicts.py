"""Check the bounds of the networks against the results."""

import math
from collections.abc import Iterator

from benchmarks.common.verdict import Verdict
from benchmarks.lowering.candidates import FLOOR, PEER, TOLERANCE, ours
from benchmarks.lowering.measure import Result
from benchmarks.lowering.networks import POLICIES, ROW_COUNTS, Bounds
from benchmarks.lowering.timing import Timing


def verdicts(result: Result) -> list[Verdict]:
    """Every bound of one network."""
    return [*_accuracy(result), *_speedups(result), *_over_matmul(result), *_memory(result)]


def _accuracy(result: Result) -> Iterator[Verdict]:
    for policy in POLICIES:
        found = result.measured[ours(policy)].errors
        worst = max(found) if found is not None else math.nan
        yield Verdict(result.network.name, policy, "error to 3 domains", "", worst, None, TOLERANCE, None, at_most=True)


def _speedups(result: Result) -> Iterator[Verdict]:
    for policy, bounds in result.network.speedup.items():
        for rows, must, aim in _each(bounds):
            peer, mine = result.timing(PEER, rows), result.timing(ours(policy), rows)
            yield _ratio(result, policy, f"× faster than {PEER}", rows, peer, mine, must, aim, at_most=False)


def _over_matmul(result: Result) -> Iterator[Verdict]:
    if result.network.over_matmul is None:
        return
    for rows, must, aim in _each(result.network.over_matmul):
        mine, floor = result.timing(ours("clamp"), rows), result.timing(FLOOR, rows)
        yield _ratio(result, "clamp", f"time / {FLOOR}", rows, mine, floor, must, aim, at_most=True)


def _memory(result: Result) -> Iterator[Verdict]:
    if result.network.memory_mb is None:
        return
    for policy in POLICIES:
        grown = result.measured[ours(policy)].memory_mb
        measured, must = math.nan if grown is None else grown, result.network.memory_mb
        yield Verdict(
            result.network.name,
            policy,
            "MB above the session",
            str(ROW_COUNTS[-1]),
            measured,
            None,
            must,
            None,
            at_most=True,
        )


def _each(bounds: Bounds) -> Iterator[tuple[int, float, float | None]]:
    aims = bounds.aim or (None,) * len(bounds.must)
    return zip(ROW_COUNTS, bounds.must, aims, strict=True)


def _ratio(
    result: Result,
    policy: str,
    what: str,
    rows: int,
    above: Timing,
    below: Timing,
    must: float,
    aim: float | None,
    *,
    at_most: bool,
) -> Verdict:
    by_medians, by_minima = above.median / below.median, above.minimum / below.minimum
    return Verdict(result.network.name, policy, what, str(rows), by_medians, by_minima, must, aim, at_most)

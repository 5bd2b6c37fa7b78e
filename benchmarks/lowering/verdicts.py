"""Check the bounds of the networks against the results."""

import math
from collections.abc import Iterator

from benchmarks.common.timing import Timing
from benchmarks.common.verdict import Verdict
from benchmarks.lowering.candidates import FLOOR, PEER, TOLERANCE, ours
from benchmarks.lowering.measure import Result
from benchmarks.lowering.networks import POLICIES, ROW_COUNTS, Bounds


def verdicts(result: Result) -> list[Verdict]:
    """Every bound of one network."""
    return [*_accuracy(result), *_speedups(result), *_over_matmul(result), *_memory(result)]


def _accuracy(result: Result) -> Iterator[Verdict]:
    for policy in POLICIES:
        found = result.measured[ours(policy)].errors
        worst = max(found) if found is not None else math.nan
        yield Verdict(result.network.name, "error to 3 domains", "", worst, TOLERANCE, at_most=True, policy=policy)


def _speedups(result: Result) -> Iterator[Verdict]:
    for policy, bounds in result.network.speedup.items():
        for rows, must, aim in _each(bounds):
            peer, mine = result.timing(PEER, rows), result.timing(ours(policy), rows)
            what, ratio = f"× faster than {PEER}", _ratio(peer, mine)
            yield Verdict(
                result.network.name, what, str(rows), must=must, at_most=False, aim=aim, policy=policy, **ratio
            )


def _over_matmul(result: Result) -> Iterator[Verdict]:
    if result.network.over_matmul is None:
        return
    for rows, must, aim in _each(result.network.over_matmul):
        mine, floor = result.timing(ours("clamp"), rows), result.timing(FLOOR, rows)
        what, ratio = f"time / {FLOOR}", _ratio(mine, floor)
        yield Verdict(result.network.name, what, str(rows), must=must, at_most=True, aim=aim, policy="clamp", **ratio)


def _memory(result: Result) -> Iterator[Verdict]:
    if result.network.memory_mb is None:
        return
    for policy in POLICIES:
        grown = result.measured[ours(policy)].memory_mb
        measured, rows = math.nan if grown is None else grown, str(ROW_COUNTS[-1])
        name, most = result.network.name, result.network.memory_mb
        yield Verdict(name, "MB above the session", rows, measured, most, at_most=True, policy=policy)


def _each(bounds: Bounds) -> Iterator[tuple[int, float, float | None]]:
    aims = bounds.aim or (None,) * len(bounds.must)
    return zip(ROW_COUNTS, bounds.must, aims, strict=True)


def _ratio(above: Timing, below: Timing) -> dict[str, float]:
    return {"measured": above.median / below.median, "by_minima": above.minimum / below.minimum}

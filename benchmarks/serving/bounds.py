"""Check the bounds of the serving benchmark against the results."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.common.servers import ECHOES
from benchmarks.common.verdict import Verdict
from benchmarks.serving import loads
from benchmarks.serving.contenders import server_name, slow_name
from benchmarks.serving.counting import Counting
from benchmarks.serving.loads import Load, Results
from benchmarks.serving.memory import Memory

# Batching helps only if a row of the slow model is cheaper in a run of this many rows; a bound checks it.
MANY_ROWS = 32


@dataclass
class Findings:
    """All results.

    Attributes:
        results: Results of the loads.
        peers: Names of the peers that took part.
        metrics_seconds: Processor time of the metrics of one request, by front end.
        counting: The cost of counting for drift, by front end.
        memory: Memory, by front end.
        slow_row_seconds: Time per row of the slow model: alone, and in a run of :data:`MANY_ROWS` rows.
    """

    results: Results = field(default_factory=Results)
    peers: tuple[str, ...] = ()
    metrics_seconds: dict[str, float] = field(default_factory=dict)
    counting: dict[str, Counting] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    slow_row_seconds: tuple[float, float] | None = None


# Takes findings and front end, returns a number; None: not measured.
_Measure = Callable[[Findings, str], float | None]
# What must hold, and what is aimed at.
_Bound = tuple[float, float | None]


@dataclass(frozen=True)
class _Row:
    what: str
    load: str
    measure: _Measure
    at_most: bool
    grpcio: _Bound
    envoy: _Bound


def verdicts(findings: Findings) -> Iterator[Verdict]:
    """The verdict on every bound whose number was measured."""
    if findings.slow_row_seconds is not None:
        one, many = findings.slow_row_seconds
        yield Verdict("–", "slow model alone: µs a row", "1 row", 1e6 * one, 500, at_most=False)
        rows = f"{MANY_ROWS} rows / 1 row"
        yield Verdict("–", "slow model alone: time of a row", rows, many / one, 0.5, at_most=True)
    for row in _ROWS:
        for front_end, (must, aim) in (("grpcio", row.grpcio), ("envoy", row.envoy)):
            measured = row.measure(findings, front_end)
            if measured is not None:
                yield Verdict(front_end, row.what, row.load, measured, must, at_most=row.at_most, aim=aim)


def _over_echo(what: str, load: Load, number: str, grpcio: _Bound, envoy: _Bound) -> _Row:
    return _over_best(f"{what} / better echo", load, number, lambda _: ECHOES, grpcio, envoy)


def _over_peer(what: str, load: Load, number: str, grpcio: _Bound, envoy: _Bound) -> _Row:
    return _over_best(f"{what} / best peer", load, number, lambda findings: findings.peers, grpcio, envoy)


def _over_best(
    what: str, load: Load, number: str, others: Callable[[Findings], Sequence[str]], grpcio: _Bound, envoy: _Bound
) -> _Row:
    """Our number divided by the best of the others. A high rate is good; of all other numbers a low one."""
    is_rate = number == "rate"

    def measure(findings: Findings, front_end: str) -> float | None:
        ours = findings.results.median(server_name(front_end), load, number)
        theirs = findings.results.medians(others(findings), load, number)
        return None if ours is None or not theirs else ours / (max if is_rate else min)(theirs)

    rows, callers = (
        f"{count} {noun}{'s' * (count > 1)}" for count, noun in ((load.rows, "row"), (load.callers, "caller"))
    )
    return _Row(what, f"{rows}, {callers}", measure, not is_rate, grpcio, envoy)


def _stream(findings: Findings, front_end: str) -> float | None:
    """Messages per second on one stream / calls per second of the grpcio front end with as many callers."""
    stream = findings.results.median(server_name(front_end), loads.STREAM, "rate")
    unary = findings.results.median(server_name("grpcio"), loads.SIXTY_FOUR, "rate")
    return None if stream is None or unary is None else stream / unary


def _slow(findings: Findings, front_end: str) -> float | None:
    batched, unbatched = (
        findings.results.median(slow_name(front_end, batched=kind), loads.SLOW, "rate") for kind in (True, False)
    )
    return None if batched is None or unbatched is None else batched / unbatched


def _schedule(findings: Findings, front_end: str) -> float | None:
    return findings.results.median(server_name(front_end), loads.SCHEDULE, "p99_over_p50")


def _explain(findings: Findings, front_end: str) -> float | None:
    """Median over the rounds, in each of which Explain follows Predict on the same server."""
    seen = [
        findings.results.seen.get((server_name(front_end), load), []) for load in (loads.EXPLAIN_SIXTEEN, loads.SIXTEEN)
    ]
    ratios = [explain.server_cpu / predict.server_cpu for explain, predict in zip(*seen, strict=False)]
    return statistics.median(ratios) if ratios else None


def _metrics(findings: Findings, front_end: str) -> float | None:
    whole = findings.results.median(server_name(front_end), loads.SIXTEEN, "server_cpu")
    part = findings.metrics_seconds.get(front_end)
    return None if whole is None or part is None else 100 * part / whole


def _counting(findings: Findings, front_end: str) -> float | None:
    return findings.counting[front_end].percent if front_end in findings.counting else None


def _memory(findings: Findings, front_end: str) -> float | None:
    return findings.memory[front_end].end_mb if front_end in findings.memory else None


def _growth(findings: Findings, front_end: str) -> float | None:
    return findings.memory[front_end].growth_mb if front_end in findings.memory else None


_ROWS = (
    _over_echo("server CPU a request", loads.SIXTEEN, "server_cpu", (1.6, 1.4), (0.9, 0.6)),
    _over_echo("requests a second", loads.SIXTEEN, "rate", (0.65, 0.75), (1.0, 1.5)),
    _over_echo("requests a second", loads.SIXTY_FOUR, "rate", (0.6, 0.75), (1.4, 2.2)),
    _over_peer("requests a second", loads.INFER_SIXTEEN, "rate", (1.4, 1.6), (2, 3)),
    _over_peer("requests a second", loads.INFER_SIXTY_FOUR, "rate", (1.2, 1.4), (2.4, 4.5)),
    _over_peer("p99", loads.INFER_SIXTEEN, "p99_seconds", (0.75, 0.6), (0.5, 0.35)),
    _over_echo("p50", loads.ONE, "p50_seconds", (1.35, 1.2), (1.4, 1.1)),
    _Row("stream's messages / grpcio's calls a second", "1 row, 64 in flight", _stream, False, (1.2, 2), (2, 3)),
    _over_peer("rows a second", loads.INFER_ROWS, "rate", (1.4, 2), (1.4, 2)),
    _Row("slow model: batched / unbatched", "1 row, 64 callers", _slow, False, (1.3, 1.7), (1.3, 1.7)),
    _Row("p99 / p50 by a schedule", "60 % of capacity", _schedule, True, (6, 4), (6, 4)),
    _Row("server CPU of Explain / of Predict", "1 row, 16 callers", _explain, True, (2, 1.4), (2, 1.4)),
    _Row("metrics' share of a request's CPU, %", "1 row, 16 callers", _metrics, True, (5, 2), (8, 4)),
    _Row("counting on over off, CPU, %", "1 row, 16 callers", _counting, True, (4, 1.5), (4, 1.5)),
    _Row("memory, MB", "one small model", _memory, True, (120, None), (220, None)),
    _Row("memory's growth, MB", "a million requests", _growth, True, (4, None), (8, None)),
)

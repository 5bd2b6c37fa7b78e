"""Check the bounds of the serving benchmark against the results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.common.servers import ECHOES
from benchmarks.common.verdict import Verdict
from benchmarks.serving.contenders import server_name, slow_name
from benchmarks.serving.loads import (
    INFER_ROWS,
    INFER_SIXTEEN,
    INFER_SIXTY_FOUR,
    ONE,
    SCHEDULE,
    SIXTEEN,
    SIXTY_FOUR,
    SLOW,
    STREAM,
    Load,
    Results,
)
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
        memory: Memory, by front end.
        slow_row_seconds: Time per row of the slow model: alone, and in a run of :data:`MANY_ROWS` rows.
    """

    results: Results = field(default_factory=Results)
    peers: tuple[str, ...] = ()
    metrics_seconds: dict[str, float] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    slow_row_seconds: tuple[float, float] | None = None


# Takes findings and front end, returns a number; None: not measured.
_Measure = Callable[[Findings, str], float | None]


@dataclass(frozen=True)
class _Row:
    what: str
    load: str
    measure: _Measure
    at_most: bool
    bounds: Mapping[str, tuple[float, float | None]]  # front end -> must, aim


def verdicts(findings: Findings) -> Iterator[Verdict]:
    """The verdict on every bound whose number was measured."""
    if findings.slow_row_seconds is not None:
        one, many = findings.slow_row_seconds
        yield Verdict("–", "", "slow model alone: µs a row", "1 row", 1e6 * one, None, 500, None, at_most=False)
        rows = f"{MANY_ROWS} rows / 1 row"
        yield Verdict("–", "", "slow model alone: time of a row", rows, many / one, None, 0.5, None, at_most=True)
    for row in _ROWS:
        for front_end, (must, aim) in row.bounds.items():
            measured = row.measure(findings, front_end)
            if measured is not None:
                yield Verdict(front_end, "", row.what, row.load, measured, None, must, aim, row.at_most)


def _over_echo(load: Load, what: str, best: Callable[[list[float]], float]) -> _Measure:
    return lambda findings, front_end: _ratio(findings, front_end, load, what, ECHOES, best)


def _over_peers(load: Load, what: str, best: Callable[[list[float]], float]) -> _Measure:
    return lambda findings, front_end: _ratio(findings, front_end, load, what, findings.peers, best)


def _ratio(
    findings: Findings,
    front_end: str,
    load: Load,
    what: str,
    others: tuple[str, ...],
    best: Callable[[list[float]], float],
) -> float | None:
    ours = findings.results.median(server_name(front_end), load, what)
    theirs = findings.results.medians(others, load, what)
    return None if ours is None or not theirs else ours / best(theirs)


def _stream(findings: Findings, front_end: str) -> float | None:
    """Messages per second on one stream / calls per second of the grpcio front end with as many callers."""
    stream = findings.results.median(server_name(front_end), STREAM, "rate")
    unary = findings.results.median(server_name("grpcio"), SIXTY_FOUR, "rate")
    return None if stream is None or unary is None else stream / unary


def _slow(findings: Findings, front_end: str) -> float | None:
    batched, unbatched = (
        findings.results.median(slow_name(front_end, batched=kind), SLOW, "rate") for kind in (True, False)
    )
    return None if batched is None or unbatched is None else batched / unbatched


def _schedule(findings: Findings, front_end: str) -> float | None:
    return findings.results.median(server_name(front_end), SCHEDULE, "p99_over_p50")


def _metrics(findings: Findings, front_end: str) -> float | None:
    whole = findings.results.median(server_name(front_end), SIXTEEN, "server_cpu")
    part = findings.metrics_seconds.get(front_end)
    return None if whole is None or part is None else 100 * part / whole


def _memory(what: Callable[[Memory], float]) -> _Measure:
    return lambda findings, front_end: what(findings.memory[front_end]) if front_end in findings.memory else None


def _both(
    grpcio: tuple[float, float | None], envoy: tuple[float, float | None]
) -> Mapping[str, tuple[float, float | None]]:
    return {"grpcio": grpcio, "envoy": envoy}


_ROWS = (
    _Row(
        "server CPU a request / better echo",
        "1 row, 16 callers",
        _over_echo(SIXTEEN, "server_cpu", min),
        True,
        _both((1.6, 1.4), (0.9, 0.6)),
    ),
    _Row(
        "requests a second / better echo",
        "1 row, 16 callers",
        _over_echo(SIXTEEN, "rate", max),
        False,
        _both((0.65, 0.75), (1.0, 1.5)),
    ),
    _Row(
        "requests a second / better echo",
        "1 row, 64 callers",
        _over_echo(SIXTY_FOUR, "rate", max),
        False,
        _both((0.6, 0.75), (1.4, 2.2)),
    ),
    _Row(
        "requests a second / best peer",
        "1 row, 16 callers",
        _over_peers(INFER_SIXTEEN, "rate", max),
        False,
        _both((1.4, 1.6), (2, 3)),
    ),
    _Row(
        "requests a second / best peer",
        "1 row, 64 callers",
        _over_peers(INFER_SIXTY_FOUR, "rate", max),
        False,
        _both((1.2, 1.4), (2.4, 4.5)),
    ),
    _Row(
        "p99 / best peer",
        "1 row, 16 callers",
        _over_peers(INFER_SIXTEEN, "p99_seconds", min),
        True,
        _both((0.75, 0.6), (0.5, 0.35)),
    ),
    _Row(
        "p50 / better echo",
        "1 row, 1 caller",
        _over_echo(ONE, "p50_seconds", min),
        True,
        _both((1.35, 1.2), (1.4, 1.1)),
    ),
    _Row("stream's messages / grpcio's calls a second", "1 row, 64 in flight", _stream, False, _both((1.2, 2), (2, 3))),
    _Row(
        "rows a second / best peer",
        "64 rows, 8 callers",
        _over_peers(INFER_ROWS, "rate", max),
        False,
        _both((1.4, 2), (1.4, 2)),
    ),
    _Row("slow model: batched / unbatched", "1 row, 64 callers", _slow, False, _both((1.3, 1.7), (1.3, 1.7))),
    _Row("p99 / p50 by a schedule", "60 % of capacity", _schedule, True, _both((6, 4), (6, 4))),
    _Row("metrics' share of a request's CPU, %", "1 row, 16 callers", _metrics, True, _both((5, 2), (8, 4))),
    _Row("memory, MB", "one small model", _memory(lambda memory: memory.end_mb), True, _both((120, None), (220, None))),
    _Row(
        "memory's growth, MB",
        "a million requests",
        _memory(lambda memory: memory.growth_mb),
        True,
        _both((4, None), (8, None)),
    ),
)

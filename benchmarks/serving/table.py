"""The results of the serving benchmark as Markdown tables."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.verdict import Verdict
from benchmarks.serving.counting import Counting
from benchmarks.serving.loads import LOADS, Load, Results
from benchmarks.serving.memory import Memory


def load_table(results: Results) -> str:
    """The medians of every load on each of its servers."""
    head = ["load", "server", "requests/s", "server µs", "p50 ms", "p99 ms", "rows a run", "generator µs", "busy"]
    body = [_load_row(results, server, load) for load in LOADS for server in results.servers(load)]
    return render([head, *body])


def generator_remark(results: Results) -> str:
    """A remark on how busy the generator was: a generator that is always busy measures itself."""
    busiest = max(
        (results.median(server, load, "load_busy") or 0.0, server, load.name)
        for load in LOADS
        if not load.grpc_client
        for server in results.servers(load)
    )
    late = [results.median(server, load, "late_p99_seconds") for load in LOADS for server in results.servers(load)]
    latest = max((value for value in late if value is not None), default=0.0)
    loads = [seen for several in results.seen.values() for seen in several]
    disturbed = sum(seen.stolen_seconds > 0 for seen in loads)
    return (
        f"The generator was busy for {busiest[0]:.0%} of the time at most ({busiest[1]}: {busiest[2]}): alone, it "
        f"could ask {1 / busiest[0]:.1f} times as fast. Where it follows a schedule, 99 % of the requests were sent "
        f"less than {1e3 * latest:.2f} ms late. {results.repeated} loads were repeated because the machine's host gave "
        f"processor time to other machines; {disturbed} of {len(loads)} were still disturbed at the last try.\n"
    )


def counting_line(front_end: str, found: Counting) -> str:
    """What counting for drift costs behind a front end."""
    return (
        f"Counting, {front_end}: {found.percent:+.2f} ± {found.half_width:.2f} % of a request's processor time, over "
        f"{found.pairs} pairs ({1e6 * found.on_seconds:.1f} and {1e6 * found.off_seconds:.1f} µs).\n"
    )


def memory_table(memory: Mapping[str, Memory]) -> str:
    """The memory of our servers."""
    head = ["server", "fresh MB", "warm MB", "requests more", "end MB", "shared pages once, MB"]
    body = [
        [
            f"ours, {front_end}",
            f"{found.fresh_mb:.1f}",
            f"{found.warm_mb:.1f}",
            f"{found.requests:,}",
            f"{found.end_mb:.1f}",
            f"{found.end_shared_once_mb:.1f}",
        ]
        for front_end, found in memory.items()
    ]
    return render([head, *body])


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """A line per bound, with the number that was measured."""
    head = ["front end", "what", "load", "measured", "must", "", "aim", ""]
    body = [
        [verdict.network, verdict.what, verdict.rows, f"{verdict.measured:.3g}", *bounds_row(verdict)]
        for verdict in verdicts
    ]
    return render([head, *body])


def _load_row(results: Results, server: str, load: Load) -> list[str]:
    def number(what: str) -> float:
        found = results.median(server, load, what)
        assert found is not None
        return found

    rows = results.batch_rows.get((server, load))
    return [
        load.name,
        server,
        f"{number('rate'):,.0f}",
        f"{1e6 * number('server_cpu'):.0f}",
        f"{1e3 * number('p50_seconds'):.2f}",
        f"{1e3 * number('p99_seconds'):.2f}",
        f"{statistics.median(rows):.1f}" if rows else "–",
        f"{1e6 * number('load_cpu'):.0f}",
        f"{number('load_busy'):.0%}",
    ]

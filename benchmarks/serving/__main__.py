"""Compare our server with bare grpcio echoes and peers and check every bound: ``python -m benchmarks.serving``.

All servers run all the time. Loads run one after another, each on one server after the other, round after round, so
that noise affects all equally. The exit code is 1 if a bound that must hold does not, or if an answer is wrong.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.common import servers
from benchmarks.common.load_job import LoadError
from benchmarks.common.served_models import ServedModel, slow, small
from benchmarks.common.servers import ServerError
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from benchmarks.serving import loads, namespace, peers
from benchmarks.serving.bounds import MANY_ROWS, Findings, verdicts
from benchmarks.serving.contenders import contenders, server_name
from benchmarks.serving.counting import measure_counting
from benchmarks.serving.loads import Load, run_rounds
from benchmarks.serving.memory import measure_memory
from benchmarks.serving.metrics_share import metrics_seconds
from benchmarks.serving.table import counting_line, generator_remark, load_table, memory_table, verdict_table

_MODULE = "benchmarks.serving"
_PACKAGES = ("kan-serving", "grpcio", "protobuf", "onnxruntime", "uvloop", "numpy")
# (rounds, seconds of each load, requests of the memory test).
_FULL, _QUICK = (5, 2.0, 1_000_000), (1, 0.5, 20_000)
# The loads that each part needs. A bound is checked if all its numbers were measured.
_PARTS: dict[str, tuple[Load, ...]] = {
    "echo": (loads.ONE, loads.ONE_RAW, loads.SIXTEEN, loads.SIXTY_FOUR),
    "peers": (loads.INFER_SIXTEEN, loads.INFER_SIXTY_FOUR, loads.INFER_ROWS),
    "stream": (loads.SIXTY_FOUR, loads.STREAM),
    "schedule": (loads.SIXTEEN, loads.SIXTY_FOUR, loads.SCHEDULE),
    "slow": (loads.SLOW,),
    "metrics": (loads.SIXTEEN,),
    "explain": (loads.SIXTEEN, loads.EXPLAIN_SIXTEEN),
    "counting": (),
    "memory": (),
}


def main() -> None:
    """Measure, print the tables, check the bounds."""
    arguments = _arguments()
    started = time.monotonic()
    parts = arguments.only or list(_PARTS)
    if "peers" in parts and not arguments.no_peers and not namespace.is_alone():
        peers.set_up()
        namespace.enter(_MODULE, sys.argv[1:])
        print("network namespaces are not allowed here, so the peers, which listen on every address, are left out\n")
        arguments.no_peers = True
    try:
        findings = _measure(arguments, parts)
    except (LoadError, ServerError) as error:
        sys.exit(f"the run failed: {error}")
    judged = list(verdicts(findings))
    print(f"#### Bounds\n\n{verdict_table(judged)}")
    missed = [verdict for verdict in judged if not verdict.keeps(verdict.must)]
    print(f"{len(judged) - len(missed)} of {len(judged)} bounds hold; {time.monotonic() - started:.0f} s")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(_as_json(findings, judged), indent=1), encoding="utf-8")
    sys.exit(1 if missed else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, to see that everything works")
    parser.add_argument("--rounds", type=int, help=f"rounds (default: {_FULL[0]})")
    parser.add_argument("--seconds", type=float, help=f"length of each load (default: {_FULL[1]:g})")
    parser.add_argument("--requests", type=int, help=f"requests of the memory test (default: {_FULL[2]})")
    parser.add_argument("--only", nargs="+", choices=_PARTS, metavar="PART", help=f"of {', '.join(_PARTS)}")
    parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every number to FILE")
    arguments = parser.parse_args()
    defaults = _QUICK if arguments.quick else _FULL
    for name, value in zip(("rounds", "seconds", "requests"), defaults, strict=True):
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
        elif getattr(arguments, name) <= 0:
            parser.error(f"--{name} is {getattr(arguments, name)}; wanted more than 0")
    return arguments


def _measure(arguments: argparse.Namespace, parts: Sequence[str]) -> Findings:
    """Measure all requested parts; each table is printed when it is complete."""
    front_ends = servers.front_ends()
    installed = peers.peers() if "peers" in parts and not arguments.no_peers else {}
    versions = "".join(f", {name} {peers.version(name)}" for name in installed)
    command = " ".join(["python", "-m", _MODULE, *sys.argv[1:]])
    print(surroundings(f"`{command}`", _PACKAGES).replace("\n- Date", f"{versions}\n- Date"), flush=True)
    findings = Findings(peers=tuple(installed))
    with tempfile.TemporaryDirectory() as folder:
        model, slow_model = small(Path(folder) / "small"), slow(Path(folder) / "slow")
        wanted = [load for load in loads.LOADS if any(load in _PARTS[part] for part in parts)]
        if loads.SLOW in wanted:
            findings.slow_row_seconds = slow_model.row_seconds(1), slow_model.row_seconds(MANY_ROWS)
        if wanted:
            with contenders(wanted, model, slow_model, front_ends, installed) as up:
                findings.results = run_rounds(up, wanted, arguments.rounds, arguments.seconds)
            print(f"#### Loads\n\n{load_table(findings.results)}\n{generator_remark(findings.results)}", flush=True)
        if "metrics" in parts:
            _measure_metrics(findings, model, front_ends)
        if "counting" in parts:
            for front_end in front_ends:
                found = measure_counting(front_end, model, quick=arguments.quick)
                findings.counting[front_end] = found
                print(counting_line(front_end, found), flush=True)
        if "memory" in parts:
            with ThreadPoolExecutor() as pool:  # All front ends at once: memory does not depend on the speed.
                held = pool.map(lambda front_end: measure_memory(front_end, model, arguments.requests), front_ends)
                findings.memory = dict(zip(front_ends, held, strict=True))
            print(f"#### Memory\n\n{memory_table(findings.memory)}", flush=True)
    return findings


def _measure_metrics(findings: Findings, model: ServedModel, front_ends: Sequence[str]) -> None:
    """Measure the cost of one request's metrics, in batches as large as each front end's."""
    for front_end in front_ends:
        batch_rows = statistics.median(findings.results.batch_rows[server_name(front_end), loads.SIXTEEN])
        seconds = metrics_seconds(model, model.exchanges("predict", 1, 1)[0], batch_rows)
        findings.metrics_seconds[front_end] = seconds
        print(f"Metrics, {front_end}: {1e6 * seconds:.1f} µs per request in batches of {batch_rows:.1f}.\n", flush=True)


def _as_json(findings: Findings, judged: Sequence[Verdict]) -> dict[str, object]:
    return {
        "loads": [
            {
                "server": server,
                "load": load.name,
                "rounds": [asdict(seen) for seen in found],
                "rows_a_run": findings.results.batch_rows.get((server, load), []),
            }
            for (server, load), found in findings.results.seen.items()
        ],
        "metrics_seconds": findings.metrics_seconds,
        "counting": {front_end: asdict(found) for front_end, found in findings.counting.items()},
        "memory": {front_end: asdict(found) for front_end, found in findings.memory.items()},
        "bounds": [asdict(verdict) for verdict in judged],
    }


if __name__ == "__main__":
    main()

"""Measure what TLS and tokens cost a request on kept connections: ``python -m benchmarks.access``.

With ``--rotations N`` certificates and tokens are renewed N times under load instead, and failed calls are counted.

The exit code is 1 if a bound that must hold does not, if an interval stays wider than wanted, or if a call failed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.access.cost import TOKENS, WANTED_HALF_WIDTH, Cost, measure_cost
from benchmarks.access.rotation import measure_rotations
from benchmarks.common import servers
from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.served_models import small
from benchmarks.common.side_by_side import Plan
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from tests.kit.rotation import Rotated

_PACKAGES = ("kan-serving", "grpcio", "protobuf", "onnxruntime", "pyvoy", "cryptography")
_FEWEST_ROUNDS, _MOST_ROUNDS = 30, 150
# Processor time of a request over that of the plain server: what must hold, and what is aimed at.
_MUST, _AIM = 1.25, 1.1


def main() -> None:
    """Measure, print the table, check the bounds."""
    front_ends = servers.front_ends()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.access", description=__doc__)
    parser.add_argument("--rounds", type=int, help=f"so many rounds (default: {_FEWEST_ROUNDS} to {_MOST_ROUNDS})")
    parser.add_argument("--only", choices=front_ends, help="one front end (default: all that are installed)")
    parser.add_argument("--rotations", type=int, help="renew certificates and tokens so often; no cost is measured")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 2:
        parser.error(f"--rounds is {arguments.rounds}; wanted 2 or more")
    if arguments.rotations is not None and arguments.rotations < 1:
        parser.error(f"--rotations is {arguments.rotations}; wanted 1 or more")
    fewest, most = (arguments.rounds,) * 2 if arguments.rounds else (_FEWEST_ROUNDS, _MOST_ROUNDS)
    started = time.monotonic()
    print(surroundings(f"`{' '.join(['python', '-m', 'benchmarks.access', *sys.argv[1:]])}`", _PACKAGES), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = small(folder / "models")
        chosen = [arguments.only] if arguments.only else front_ends
        if arguments.rotations:
            failed = _report_rotations(
                {each: measure_rotations(each, model, folder / each, arguments.rotations) for each in chosen}
            )
            print(f"{failed} calls failed; {time.monotonic() - started:.0f} s")
        else:
            plan = Plan(fewest, most, WANTED_HALF_WIDTH)
            failed = _report_cost({each: measure_cost(each, model, folder / each, plan) for each in chosen})
            print(f"{failed} bounds are missed or not sure; {time.monotonic() - started:.0f} s")
    sys.exit(1 if failed else 0)


def _report_rotations(found: dict[str, Rotated]) -> int:
    """Print the table and the first failures; gives the number of calls that failed."""
    rows = [["front end", "rotations", "half-written first", "kept", "new", "stream", "failed", "slowest, s"]]
    for front_end, each in found.items():
        answered = (str(each.answered[kind]) for kind in ("kept", "new", "stream"))
        counts = [str(each.rotations), str(each.half_written), *answered, str(len(each.failures))]
        rows.append([front_end, *counts, f"{each.slowest_seconds:.1f}"])
        for failure in each.failures[:10]:
            print(f"{front_end}: {failure}", file=sys.stderr)
    print("Answers on kept connections, on a new connection for each call, and on streams:\n")
    print(render(rows))
    return sum(len(each.failures) for each in found.values())


def _report_cost(found: dict[str, list[Cost]]) -> int:
    """Print the tables; gives the number of bounds that are missed or not sure."""
    rows = [["front end", "callers", "CPU a request, µs", "plain, µs", "over plain", "rounds", "must", "", "aim", ""]]
    proofs = [["front end", "callers", "TLS", "refused"]]
    missed = 0
    for front_end, costs in found.items():
        for cost in costs:
            over = 1 + cost.percent / 100
            verdict = Verdict(front_end, cost.kind, "1 row, 16 callers", over, _MUST, at_most=True, aim=_AIM)
            missed += not verdict.keeps(verdict.must) or cost.half_width > WANTED_HALF_WIDTH
            times = [f"{1e6 * seconds:.1f}" for seconds in (cost.seconds, cost.plain_seconds)]
            ratio = f"{over:.3f} ± {cost.half_width / 100:.3f}"
            rows.append([front_end, cost.kind, *times, ratio, str(cost.rounds), *bounds_row(verdict)])
            proofs.append([front_end, cost.kind, cost.tls, cost.refused])
    print(render(rows))
    print(f"The token is one of {TOKENS} in the file. Each server was asked without what it wants:\n")
    print(render(proofs))
    return missed


if __name__ == "__main__":
    main()

"""Compare designs of a Python gRPC server with a small model: ``python -m benchmarks.serving.server_shapes``.

The servers are bare prototypes (shape_server.py), our full server, and echoes without a model. All run at once and get
the loads in turn.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.common import servers
from benchmarks.common.markdown import render
from benchmarks.common.served_models import small
from benchmarks.serving.contenders import server_name
from benchmarks.serving.loads import SIXTEEN, SIXTY_FOUR, Results, run_rounds

_SHAPES = ("aio-inline", "aio-batch", "aio-thread", "sync-8", "leader-2", "leader-8")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.server_shapes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        model = small(Path(folder))
        up = [stack.enter_context(servers.echo(name)) for name in servers.ECHOES]
        up += [stack.enter_context(servers.shape(name, model)) for name in _SHAPES]
        up += [
            stack.enter_context(servers.ours(server_name(front_end), "ours", model, front_end))
            for front_end in servers.front_ends()
        ]
        results = run_rounds([(one, model) for one in up], [SIXTEEN, SIXTY_FOUR], options.rounds, options.seconds)
    print(render([["server", *_HEAD], *(_row(results, one.name) for one in up)]))


_HEAD = ("16 callers: requests/s", "CPU µs", "p99 ms", "64 callers: requests/s", "CPU µs", "p99 ms")


def _row(results: Results, name: str) -> list[str]:
    row = [name]
    for load in (SIXTEEN, SIXTY_FOUR):
        for what, scale in (("rate", 1.0), ("server_cpu", 1e6), ("p99_seconds", 1e3)):
            value = results.median(name, load, what)
            row.append("" if value is None else f"{scale * value:.{2 if what == 'p99_seconds' else 0}f}")
    return row


if __name__ == "__main__":
    main()

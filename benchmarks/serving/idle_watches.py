"""The processor time that idle health watches cost: ``python -m benchmarks.serving.idle_watches``.

Nothing changes while they are open, so nothing is sent. Printed for each front end: the share of one core that the
server takes without watches and with them. The exit code is 1 if the watches of a front end cost more than the bound.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc

from benchmarks.common.processes import run_seconds, tree
from benchmarks.common.served_models import small
from benchmarks.common.servers import front_ends, ours

_WATCH = "/grpc.health.v1.Health/Watch"
_WATCHES_A_CONNECTION = 500
_SETTLE_SECONDS = 3.0
_MOST_SHARE = 0.03


def main() -> None:
    """Measure each front end and check the bound."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.idle_watches", description=__doc__)
    parser.add_argument("--watches", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0, help="time of each measurement")
    arguments = parser.parse_args()
    held = True
    with tempfile.TemporaryDirectory() as folder:
        model = small(Path(folder))
        for front_end in front_ends():
            with ours(front_end, "ours", model, front_end) as server:
                without = _share(server.pid, arguments.seconds)
                with _watches(server.address, arguments.watches):
                    share = _share(server.pid, arguments.seconds)
            held = held and share - without <= _MOST_SHARE
            print(
                f"{front_end}: {share - without:.4f} of a core for {arguments.watches} idle watches "
                f"({without:.4f} without them, {share:.4f} with them); at most {_MOST_SHARE}"
            )
    sys.exit(not held)


@contextmanager
def _watches(address: str, count: int) -> Iterator[None]:
    """So many open watches of the server, each of which has been told the state."""
    with ExitStack() as stack:
        options = [("grpc.use_local_subchannel_pool", 1)]
        for opened in range(0, count, _WATCHES_A_CONNECTION):
            channel = stack.enter_context(grpc.insecure_channel(address, options=options))
            watch: Any = channel.unary_stream(_WATCH)
            for _ in range(min(_WATCHES_A_CONNECTION, count - opened)):
                call = watch(b"")
                next(call)
                stack.callback(call.cancel)
        yield


def _share(pid: int, seconds: float) -> float:
    """Processor time of the server and its children for each second, once it is quiet."""
    time.sleep(_SETTLE_SECONDS)
    pids = tree(pid)
    began, before = time.monotonic(), run_seconds(pids)
    time.sleep(seconds)
    return (run_seconds(pids) - before) / (time.monotonic() - began)


if __name__ == "__main__":
    main()

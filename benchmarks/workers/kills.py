"""Kills of workers under the load of our client, by the function of tests/faults, with a number of kills that is large.

A server that has two workers gets a kill about every 7 s, so that none counts as an end at the start.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common.served_models import NAME, ServedModel
from tests.kit.server.kan_serve import KanServe
from tests.kit.server.kills import STEADY_SECONDS, Calls, Kills, kill_workers


def measure_kills(front_end: str, model: ServedModel, kills: int) -> Kills:
    """Kill workers of a server with two.

    Args:
        front_end: Of the server.
        model: What it serves.
        kills: Number of kills.
    """

    def report(kill: int, calls: Calls) -> None:
        shown = f"kill {kill}: {calls.answered} calls answered, {len(calls.failures)} failed"
        print(f"kills, {front_end}: {shown}", file=sys.stderr, flush=True)

    rows = np.zeros((2, 16), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        server = KanServe.start(
            model.repository, "--frontend", front_end, "--workers", "2", log=Path(folder) / "kan-serve.log"
        )
        try:
            return kill_workers(server, NAME, rows, kills, STEADY_SECONDS, report)
        finally:
            server.kill()

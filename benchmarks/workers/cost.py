"""Processor time of a request in servers over that in another, with slices of load that alternate between them.

The speed of a shared processor varies by a tenth from one second to the next, so slices are short, and only the
processor time of the servers counts, by the scheduler's clock. A slice is longer than those of other benchmarks: while
64 callers begin and end, batches are smaller than between. A round has new connections, since the kernel spreads them
by chance over two workers, and gives one ratio. Rounds follow until the 95 % interval is narrow enough.
"""

import gc
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from benchmarks.common import servers
from benchmarks.common.processes import run_seconds, tree
from benchmarks.common.served_models import ServedModel
from benchmarks.common.side_by_side import trimmed_mean
from benchmarks.workers.callers import Callers
from benchmarks.workers.compose_envoy import envoy_before

CALLERS = 64
CALLERS_A_CONNECTION = 16
WANTED_HALF_WIDTH = 0.01
_SLICES, _SLICE_SECONDS, _WARM_UP_SECONDS = 10, 0.2, 0.2


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Args:
        addresses: "host:port" that its callers ask.
        callers: Number of callers.
        pids: The processes whose time counts.
    """

    addresses: Sequence[str]
    callers: int
    pids: Sequence[int]


@dataclass(frozen=True)
class Cost:
    """What a request costs on one side over the other.

    Attributes:
        ratio: The trimmed mean over the rounds.
        half_width: Of the 95 % interval of `ratio`.
        rounds: Number of rounds.
        seconds: The mean processor time of a request on each side; the second is over the first in `ratio`.
    """

    ratio: float
    half_width: float
    rounds: int
    seconds: tuple[float, float]


def measure_workers(front_end: str, model: ServedModel, fewest_rounds: int, most_rounds: int) -> tuple[Cost, Cost]:
    """What a request costs with two workers over one, and with two servers that share nothing, 64 callers a worker.

    On two cores the second of two processes costs both of them time: that of the two servers is the machine's part.

    Args:
        front_end: Of the servers.
        model: What they serve.
        fewest_rounds: Rounds before the intervals are looked at.
        most_rounds: Rounds after which the measurement ends, however wide they are.
    """
    with ExitStack() as stack:
        sides = []
        for workers, count in ((1, 1), (2, 1), (1, 2)):
            flags = ("--workers", str(workers))
            started = [
                stack.enter_context(servers.ours(f"{workers} workers", "ours", model, front_end, *flags))
                for _ in range(count)
            ]
            pids = [pid for each in started for pid in tree(each.pid)]
            sides.append(Side([each.address for each in started], workers * count * CALLERS, pids))
        two_workers, two_servers = _compare(f"workers, {front_end}", sides, model, fewest_rounds, most_rounds)
        return two_workers, two_servers


def measure_spreading(front_end: str, model: ServedModel, fewest_rounds: int, most_rounds: int) -> tuple[Cost, Cost]:
    """What it costs that compose's Envoy opens further connections to a server with one worker, over one connection.

    Args:
        front_end: Of the server.
        model: What it serves.
        fewest_rounds: Rounds before the interval is looked at.
        most_rounds: Rounds after which the measurement ends, however wide it is.

    Returns:
        The cost in the server, and in Envoy.
    """
    with ExitStack() as stack:
        server = stack.enter_context(servers.ours("1 worker", "ours", model, front_end))
        envoys = [
            stack.enter_context(envoy_before([server.address], model, spreads=spreads)) for spreads in (False, True)
        ]
        found = []
        for what, pids in (("server", [tree(server.pid)] * 2), ("Envoy", [[each.pid] for each in envoys])):
            sides = [Side([each.address], CALLERS, own) for each, own in zip(envoys, pids, strict=True)]
            found += _compare(f"{what}, {front_end}", sides, model, fewest_rounds, most_rounds)
        return found[0], found[1]


def _compare(what: str, sides: Sequence[Side], model: ServedModel, fewest_rounds: int, most_rounds: int) -> list[Cost]:
    """The cost of each side but the first, over the first."""
    times: list[list[float]] = []
    gc.disable()  # a collection here would delay the open calls
    try:
        while len(times) < most_rounds:
            times.append(_round(sides, model))
            ratios = [trimmed_mean([each[place] / each[0] for each in times]) for place in range(1, len(sides))]
            shown = ", ".join(f"{ratio:.3f} ± {half_width:.3f}" for ratio, half_width in ratios)
            print(f"{what}: round {len(times)}, {shown}", file=sys.stderr, flush=True)
            if len(times) >= fewest_rounds and all(half_width <= WANTED_HALF_WIDTH for _, half_width in ratios):
                break
    finally:
        gc.enable()
    first, *others = (statistics.mean(each) for each in zip(*times, strict=True))
    return [Cost(*ratio, len(times), (first, other)) for ratio, other in zip(ratios, others, strict=True)]


def _round(sides: Sequence[Side], model: ServedModel) -> list[float]:
    """Processor time of a request on each side."""
    seconds, answered = [0.0] * len(sides), [0] * len(sides)
    with ExitStack() as stack:
        callers = [
            stack.enter_context(
                closing(Callers(side.addresses, model, side.callers, side.callers // CALLERS_A_CONNECTION))
            )
            for side in sides
        ]
        for each in callers:  # the first call of a connection sends more headers
            each.ask(_WARM_UP_SECONDS)
        for number in range(_SLICES):
            for turn in range(len(sides)):
                place = (number + turn) % len(sides)
                before = run_seconds(list(sides[place].pids))
                answered[place] += callers[place].ask(_SLICE_SECONDS)
                seconds[place] += run_seconds(list(sides[place].pids)) - before
    return [spent / count for spent, count in zip(seconds, answered, strict=True)]

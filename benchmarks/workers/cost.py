"""Processor time of a request in servers over that in another, with slices of load that alternate between them.

The speed of a shared processor varies by a tenth from one second to the next, so slices are short, and only the
processor time of the servers counts, by the scheduler's clock. A slice is longer than those of other benchmarks: while
64 callers begin and end, batches are smaller than between. A round has servers of its own, since two processes of the
same program differ by up to 3 %, and gives one ratio. Rounds follow until the 95 % interval is narrow enough.
"""

import gc
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

from benchmarks.common import servers
from benchmarks.common.processes import run_seconds, tree
from benchmarks.common.served_models import ServedModel
from benchmarks.common.side_by_side import trimmed_mean
from benchmarks.workers.callers import Callers
from benchmarks.workers.compose_envoy import envoy_before

CALLERS = 64
CALLERS_A_CONNECTION = 16
WANTED_HALF_WIDTH = 0.01
_SLICES, _SLICE_SECONDS, _WARM_UP_SECONDS = 10, 0.2, 1.0


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Args:
        addresses: "host:port" of each connection of its callers.
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


def measure_workers(front_end: str, model: ServedModel, fewest_rounds: int, most_rounds: int) -> tuple[Cost, ...]:
    """What a request costs with two workers over one, and with two servers that share nothing, 64 callers a worker.

    On two cores the second of two processes costs both of them time: that of the two servers is the machine's part. As
    with workers, chance decides which of the two a connection leads to.

    Args:
        front_end: Of the servers.
        model: What they serve.
        fewest_rounds: Rounds before the intervals are looked at.
        most_rounds: Rounds after which the measurement ends, however wide they are.

    Returns:
        Two workers over one, two servers over one, two workers over two servers.
    """

    def start(stack: ExitStack) -> list[Side]:
        sides = []
        for workers, count in ((1, 1), (2, 1), (1, 2)):
            flags = ("--workers", str(workers))
            started = [
                stack.enter_context(servers.ours(f"{workers} workers", "ours", model, front_end, *flags))
                for _ in range(count)
            ]
            pids = [pid for each in started for pid in tree(each.pid)]
            callers = workers * count * CALLERS
            addresses = random.choices([each.address for each in started], k=callers // CALLERS_A_CONNECTION)
            sides.append(Side(addresses, callers, pids))
        return sides

    pairs = ((1, 0), (2, 0), (1, 2))
    return tuple(_compare(f"workers, {front_end}", start, pairs, model, fewest_rounds, most_rounds))


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

    def start(stack: ExitStack, *, of_envoy: bool) -> list[Side]:
        server = stack.enter_context(servers.ours("1 worker", "ours", model, front_end))
        envoys = [
            stack.enter_context(envoy_before([server.address], model, spreads=spreads)) for spreads in (False, True)
        ]
        pids = [[each.pid] if of_envoy else tree(server.pid) for each in envoys]
        return [
            Side([each.address] * (CALLERS // CALLERS_A_CONNECTION), CALLERS, own)
            for each, own in zip(envoys, pids, strict=True)
        ]

    found = []
    for what, of_envoy in (("server", False), ("Envoy", True)):
        begin = partial(start, of_envoy=of_envoy)
        found += _compare(f"{what}, {front_end}", begin, [(1, 0)], model, fewest_rounds, most_rounds)
    return found[0], found[1]


def _compare(
    what: str,
    start: Callable[[ExitStack], Sequence[Side]],
    pairs: Sequence[tuple[int, int]],
    model: ServedModel,
    fewest_rounds: int,
    most_rounds: int,
) -> list[Cost]:
    """The cost of one side over another, for each pair. `start` starts the servers of a round."""
    times: list[list[float]] = []
    gc.disable()  # a collection here would delay the open calls
    try:
        while len(times) < most_rounds:
            with ExitStack() as stack:
                times.append(_round(start(stack), model))
            ratios = [trimmed_mean([each[side] / each[other] for each in times]) for side, other in pairs]
            shown = ", ".join(f"{ratio:.3f} ± {half_width:.3f}" for ratio, half_width in ratios)
            print(f"{what}: round {len(times)}, {shown}", file=sys.stderr, flush=True)
            if len(times) >= fewest_rounds and all(half_width <= WANTED_HALF_WIDTH for _, half_width in ratios):
                break
    finally:
        gc.enable()
    means = [statistics.mean(each) for each in zip(*times, strict=True)]
    return [
        Cost(*ratio, len(times), (means[other], means[side]))
        for ratio, (side, other) in zip(ratios, pairs, strict=True)
    ]


def _round(sides: Sequence[Side], model: ServedModel) -> list[float]:
    """Processor time of a request on each side."""
    seconds, answered = [0.0] * len(sides), [0] * len(sides)
    with ExitStack() as stack:
        callers = [stack.enter_context(closing(Callers(side.addresses, model, side.callers))) for side in sides]
        for each in callers:  # the first call of a connection sends more headers
            each.ask(_WARM_UP_SECONDS)
        for number in range(_SLICES):
            for turn in range(len(sides)):
                place = (number + turn) % len(sides)
                before = run_seconds(list(sides[place].pids))
                answered[place] += callers[place].ask(_SLICE_SECONDS)
                seconds[place] += run_seconds(list(sides[place].pids)) - before
    return [spent / count for spent, count in zip(seconds, answered, strict=True)]

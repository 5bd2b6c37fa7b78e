"""The cost of traces on servers that differ in nothing else.

Three kan-serves of one model run side by side: without traces, with traces sampled at 0, and at 1 %. A server sends its
traces every 5 seconds, about once a round, and that counts as its processor time too.
"""

from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.common import servers
from benchmarks.common.served_models import ServedModel
from benchmarks.common.side_by_side import Asked, Plan, measure_rounds
from benchmarks.tracing.receiver import receiving

SHARES = (0.0, 0.01)
WANTED_HALF_WIDTH = 0.5


@dataclass(frozen=True)
class Cost:
    """The cost of traces at one share.

    Attributes:
        share: Of the calls that are traced.
        percent: Processor time of a request with traces, above that without; the trimmed mean over the rounds.
        half_width: Of the 95 % interval of `percent`.
        rounds: Number of rounds.
        seconds: The mean processor time of a request with traces.
        spans: Number of spans received.
    """

    share: float
    percent: float
    half_width: float
    rounds: int
    seconds: float
    spans: int


def measure_cost(front_end: str, model: ServedModel, fewest_rounds: int, most_rounds: int) -> list[Cost]:
    """Measure the cost at each share of SHARES.

    Args:
        front_end: Of all servers.
        model: What they serve.
        fewest_rounds: Rounds before the intervals are looked at.
        most_rounds: Rounds after which the measurement ends, however wide they are.
    """
    plan = Plan(fewest_rounds, most_rounds, WANTED_HALF_WIDTH)
    with ExitStack() as stack:
        receivers = [stack.enter_context(receiving()) for _ in SHARES]
        flags: list[tuple[str, ...]] = [()]
        for share, receiver in zip(SHARES, receivers, strict=True):
            flags.append(("--trace-endpoint", receiver.address, "--trace-sample", str(share)))

        def start(stack: ExitStack) -> list[Asked]:
            return [
                Asked(stack, stack.enter_context(servers.ours(_named(each), "ours", model, front_end, *each)), model)
                for each in flags
            ]

        times = measure_rounds(f"traces, {front_end}", start, plan)
        return [
            Cost(share, *times.above_first(place), len(times.rounds), times.seconds(place), receiver.spans)
            for place, (share, receiver) in enumerate(zip(SHARES, receivers, strict=True), start=1)
        ]


def _named(flags: tuple[str, ...]) -> str:
    return " ".join(flags) or "no traces"

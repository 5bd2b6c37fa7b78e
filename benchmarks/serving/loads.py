"""The loads of the serving benchmark, and what was seen of them."""

import math
import re
import statistics
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from benchmarks.common.load import LoadProcess
from benchmarks.common.load_job import Exchange, Form, Job, Seen
from benchmarks.common.served_models import MODEL_INFER, PREDICT, PREDICT_STREAM, ServedModel
from benchmarks.common.servers import ECHO_ANSWER, Server

_PATHS = {"predict": PREDICT, "infer": MODEL_INFER, "stream": PREDICT_STREAM}


@dataclass(frozen=True)
class Load:
    """What is asked of a server.

    Args:
        name: In the tables.
        form: Whose message is sent.
        rows: Rows of each request.
        callers: As in Job.
        roles: Servers that get it.
        grpc_client: As in Job.
        of_capacity: Share of the server's capacity that arrives by a schedule; 0 for none.
    """

    name: str
    form: Form
    rows: int
    callers: int
    roles: tuple[str, ...]
    grpc_client: bool = False
    of_capacity: float = 0.0


ONE = Load("Predict, 1 caller, grpc's own client", "predict", 1, 1, ("ours", "echo"), grpc_client=True)
ONE_RAW = Load("Predict, 1 caller", "predict", 1, 1, ("ours", "echo"))
SIXTEEN = Load("Predict, 16 callers", "predict", 1, 16, ("ours", "echo"))
SIXTY_FOUR = Load("Predict, 64 callers", "predict", 1, 64, ("ours", "echo"))
INFER_SIXTEEN = Load("ModelInfer, 16 callers", "infer", 1, 16, ("ours", "peer"))
INFER_SIXTY_FOUR = Load("ModelInfer, 64 callers", "infer", 1, 64, ("ours", "peer"))
INFER_ROWS = Load("ModelInfer, 64 rows, 8 callers", "infer", 64, 8, ("ours", "peer"))
STREAM = Load("PredictStream, 64 in flight", "stream", 1, 64, ("ours",))
SCHEDULE = Load("Predict by a schedule, 60 % of capacity", "predict", 1, 64, ("ours",), of_capacity=0.6)
SLOW = Load("Predict, slow model, 64 callers", "predict", 1, 64, ("slow",))

# Capacity is looked for in steps, from this share of what the callers get who wait.
_FIRST_STEP, _STEP = 0.3, 1.15
# How often a load is tried until the machine's host has given its processors to nobody else meanwhile.
_TRIES = 4

# In the order in which they run.
LOADS = (
    ONE,
    ONE_RAW,
    SIXTEEN,
    SIXTY_FOUR,
    SCHEDULE,
    STREAM,
    INFER_SIXTEEN,
    INFER_SIXTY_FOUR,
    INFER_ROWS,
    SLOW,
)


@dataclass
class Results:
    """What was seen, round after round.

    Attributes:
        seen: By server's name and load, a number a round.
        batch_rows: Rows a run, as the server's own metrics tell.
        repeated: How many loads were done again because the machine's host had given processor time to others.
    """

    seen: dict[tuple[str, Load], list[Seen]] = field(default_factory=lambda: defaultdict(list))
    batch_rows: dict[tuple[str, Load], list[float]] = field(default_factory=lambda: defaultdict(list))
    repeated: int = 0

    def median(self, server: str, load: Load, what: str) -> float | None:
        """Median over the rounds of one of Seen's numbers; None where it was not measured.

        NaN where most rounds have none.
        """
        values = [getattr(seen, what) for seen in self.seen.get((server, load), ())]
        if not values:
            return None
        numbers = [value for value in values if not math.isnan(value)]
        return statistics.median(numbers) if len(numbers) > len(values) / 2 else math.nan

    def servers(self, load: Load) -> list[str]:
        """The servers that had this load."""
        return [server for server, one in self.seen if one == load]

    def medians(self, servers: Sequence[str], load: Load, what: str) -> list[float]:
        """The same for each of the servers that has it."""
        found = (self.median(server, load, what) for server in servers)
        return [value for value in found if value is not None]


def run_rounds(
    servers: Sequence[tuple[Server, ServedModel]], loads: Sequence[Load], rounds: int, seconds: float
) -> Results:
    """Each load on each server that gets it, one after the other, round after round; each round begins with the next.

    Args:
        servers: Those that are up, with the models they serve.
        loads: What is asked of them.
        rounds: How often.
        seconds: Length of each load.

    Raises:
        LoadError: An error, or a wrong answer.
    """
    results = Results()
    with LoadProcess() as generator:
        for number in range(rounds):
            for load in loads:
                mine = [(server, model) for server, model in servers if server.role in load.roles]
                first = number % max(1, len(mine))  # nobody always comes after the load that leaves the machine hot
                for server, model in (*mine[first:], *mine[:first]):
                    rate = 0.0
                    if load.of_capacity:
                        # Measured at once before: the machine's speed changes within a round by a third.
                        rate = load.of_capacity * _capacity(generator, server, model, load, seconds)
                    job = _job(server, model, load, seconds, rate)
                    for attempt in range(_TRIES):
                        results.repeated += attempt > 0
                        before = _batches(server)
                        seen = generator.run(job)
                        after = _batches(server)
                        if not seen.stolen_seconds:
                            break
                    results.seen[server.name, load].append(seen)
                    if after[1] > before[1]:
                        results.batch_rows[server.name, load].append((after[0] - before[0]) / (after[1] - before[1]))
            print(f"round {number + 1} of {rounds} is done", file=sys.stderr, flush=True)
    return results


def _capacity(generator: LoadProcess, server: Server, model: ServedModel, load: Load, seconds: float) -> float:
    """The highest rate of a schedule that the server keeps up with, in requests a second.

    Callers who wait get more out of it: they come in step, all at once after each batch, which no schedule does.
    """

    def keeps_up(rate: float) -> bool:
        # Twice, lest a pause at the end of the first pass for the most that the server can do.
        job = _job(server, model, load, seconds, rate)
        return any(not math.isnan(generator.run(job).rate) for _ in range(2))

    rate = _FIRST_STEP * generator.run(_job(server, model, load, seconds, 0.0)).rate
    while not keeps_up(rate):
        rate /= _STEP
    while keeps_up(rate * _STEP):
        rate *= _STEP
    return rate


def _job(server: Server, model: ServedModel, load: Load, seconds: float, rate: float) -> Job:
    form: Form = "echo" if server.role == "echo" else load.form
    exchanges = _exchanges(model, load.form, load.rows, load.callers)
    if form == "echo":
        exchanges = tuple(Exchange(exchange.request, ECHO_ANSWER) for exchange in exchanges)
    return Job(
        server.address,
        server.pid,
        _PATHS[load.form],
        form,
        exchanges,
        load.callers,
        seconds=seconds,
        rate=rate,
        grpc_client=load.grpc_client,
    )


@cache
def _exchanges(model: ServedModel, form: str, rows: int, count: int) -> tuple[Exchange, ...]:
    return model.exchanges(form, rows, count)


def _batches(server: Server) -> tuple[float, float]:
    """Rows and runs so far, as the server's metrics tell; zeros where it has none."""
    if not server.http_address:
        return 0.0, 0.0
    with urllib.request.urlopen(f"http://{server.http_address}/metrics", timeout=10) as response:
        text = response.read().decode()
    return tuple(  # type: ignore[return-value]
        sum(map(float, re.findall(rf"^kan_batch_rows_{what}{{.*}} (\S+)$", text, re.MULTILINE)))
        for what in ("sum", "count")
    )

"""The loads of the serving benchmark, and their results."""

import math
import re
import statistics
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from benchmarks.common.load_job import Exchange, Form, Job, LoadResult
from benchmarks.common.load_process import LoadProcess
from benchmarks.common.served_models import EXPLAIN, MODEL_INFER, PREDICT, PREDICT_STREAM, ServedModel
from benchmarks.common.servers import ECHO_ANSWER, Server

_PATHS = {"predict": PREDICT, "explain": EXPLAIN, "infer": MODEL_INFER, "stream": PREDICT_STREAM}


@dataclass(frozen=True)
class Load:
    """A kind of load.

    Args:
        name: Name in the tables.
        form: Kind of message.
        rows: Rows per request.
        callers: As in Job.
        roles: Roles of the servers that get this load.
        grpc_client: As in Job.
        of_capacity: The rate of a schedule, as a share of the server's capacity; 0: callers wait for answers.
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
EXPLAIN_SIXTEEN = Load("Explain, 16 callers", "explain", 1, 16, ("ours",))
SIXTY_FOUR = Load("Predict, 64 callers", "predict", 1, 64, ("ours", "echo"))
INFER_SIXTEEN = Load("ModelInfer, 16 callers", "infer", 1, 16, ("ours", "peer"))
INFER_SIXTY_FOUR = Load("ModelInfer, 64 callers", "infer", 1, 64, ("ours", "peer"))
INFER_ROWS = Load("ModelInfer, 64 rows, 8 callers", "infer", 64, 8, ("ours", "peer"))
STREAM = Load("PredictStream, 64 in flight", "stream", 1, 64, ("ours",))
SCHEDULE = Load("Predict by a schedule, 60 % of capacity", "predict", 1, 64, ("ours",), of_capacity=0.6)
SLOW = Load("Predict, slow model, 64 callers", "predict", 1, 64, ("slow",))

# The search for a server's capacity starts at this share of the rate of waiting callers and grows by this factor.
_FIRST_STEP, _STEP = 0.3, 1.15
# The most tries of a load; it is repeated if the host gave processor time to other machines meanwhile.
_TRIES = 4

# In the order in which they run.
LOADS = (
    ONE,
    ONE_RAW,
    SIXTEEN,
    EXPLAIN_SIXTEEN,
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
    """The results of all rounds.

    Attributes:
        seen: Results by server's name and load, one per round.
        batch_rows: Rows per run, from the server's own metrics, likewise.
        repeated: Number of loads that were repeated because the host gave processor time to other machines.
    """

    seen: dict[tuple[str, Load], list[LoadResult]] = field(default_factory=lambda: defaultdict(list))
    batch_rows: dict[tuple[str, Load], list[float]] = field(default_factory=lambda: defaultdict(list))
    repeated: int = 0

    def median(self, server: str, load: Load, what: str) -> float | None:
        """The median over the rounds of one of Seen's numbers; None: not measured.

        NaN if the number is NaN in most rounds.
        """
        values = [getattr(seen, what) for seen in self.seen.get((server, load), ())]
        if not values:
            return None
        numbers = [value for value in values if not math.isnan(value)]
        return statistics.median(numbers) if len(numbers) > len(values) / 2 else math.nan

    def servers(self, load: Load) -> list[str]:
        """The names of the servers that had this load."""
        return [server for server, one in self.seen if one == load]

    def medians(self, servers: Sequence[str], load: Load, what: str) -> list[float]:
        """:meth:`median` for each of the servers that had the load."""
        found = (self.median(server, load, what) for server in servers)
        return [value for value in found if value is not None]


def run_rounds(
    servers: Sequence[tuple[Server, ServedModel]], loads: Sequence[Load], rounds: int, seconds: float
) -> Results:
    """Run each load on each of its servers, one after the other, round after round.

    Each round begins with another server, so that none always follows the same one.

    Args:
        servers: The running servers, with the models they serve.
        loads: The loads.
        rounds: Number of rounds.
        seconds: Length of each load.

    Raises:
        LoadError: an error, or a wrong answer.
    """
    results = Results()
    with LoadProcess() as generator:
        for number in range(rounds):
            for load in loads:
                mine = [(server, model) for server, model in servers if server.role in load.roles]
                first = number % max(1, len(mine))  # No server always runs after the load that heats the machine.
                for server, model in (*mine[first:], *mine[:first]):
                    rate = 0.0
                    if load.of_capacity:
                        # Measured directly before the load: the machine's speed changes by a third within a round.
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
    """The highest rate of a schedule that the server keeps up with, in requests per second.

    It is lower than the rate of waiting callers: these send together after each batch, so their batches are fuller.
    """

    def keeps_up(rate: float) -> bool:
        # Two tries, so that a pause of the machine at the end of the first does not count as the limit.
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
    """Rows and runs so far, from the server's metrics; zeros for a server without metrics."""
    if not server.http_address:
        return 0.0, 0.0
    with urllib.request.urlopen(f"http://{server.http_address}/metrics", timeout=10) as response:
        text = response.read().decode()
    return tuple(  # type: ignore[return-value]
        sum(map(float, re.findall(rf"^kan_batch_rows_{what}{{.*}} (\S+)$", text, re.MULTILINE)))
        for what in ("sum", "count")
    )

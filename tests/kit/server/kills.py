"""Workers that are killed one after the other, while clients with their usual retries call without a pause."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

from service.client import Client, ClientError
from tests.kit.callers.protocols import Rows
from tests.kit.server.kan_serve import KanServe
from tests.kit.server.workers import answered, wait_for_workers, workers
from tests.kit.waiting import wait_for

CALLERS = 8
# A worker that ends within 10 s is taken for one that fails at its start, and its place waits longer for the next one.
STEADY_SECONDS = 11.0


@dataclass
class Calls:
    """What became of the calls of our client."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)

    def more(self, count: int = 200) -> None:
        """Wait until more calls have been answered."""
        wanted = self.answered + count
        wait_for(lambda: self.answered >= wanted, "more answers")


@dataclass(frozen=True)
class Kills:
    """What became of the calls during kills.

    Attributes:
        answered: Number of answered calls.
        failures: The errors of the others.
        counted: Requests that the server has counted as answered.
        counts_lost: Kills after which the server had counted fewer requests than before.
    """

    answered: int
    failures: list[str]
    counted: int
    counts_lost: int


def kill_workers(
    server: KanServe,
    model: str,
    rows: Rows,
    kills: int,
    steady_seconds: float = 0.0,
    report: Callable[[int, Calls], None] = lambda _kill, _calls: None,
) -> Kills:
    """Kill the oldest worker under load, again and again, each time once another one takes calls in its place.

    Args:
        server: A kan-serve with several workers, whose workers never ended before.
        model: The model that clients ask. Nobody asked before.
        rows: Their rows.
        kills: Number of kills.
        steady_seconds: How long a worker takes calls before its kill.
        report: Gets the number of each kill, and the calls so far.
    """
    count, counts_lost = len(workers(server)), 0
    steady_at: dict[psutil.Process, float] = {}
    with calling(server, model, rows) as calls:
        for kill in range(1, kills + 1):
            calls.more()
            victim = workers(server)[0]
            time.sleep(max(0.0, steady_at.get(victim, 0.0) - time.monotonic()))
            counted = answered(server, model)
            victim.kill()
            victim.wait(60)
            counts_lost += answered(server, model) < counted
            wait_for_workers(server, count, restarts=kill)
            for worker in workers(server):
                steady_at.setdefault(worker, time.monotonic() + steady_seconds)
            report(kill, calls)
        calls.more()
    return Kills(calls.answered, calls.failures, answered(server, model), counts_lost)


@contextmanager
def calling(
    server: KanServe, model: str, rows: Rows, timeout_seconds: float = 30, pause_seconds: float = 0.0
) -> Iterator[Calls]:
    """Have clients with their usual retries call until the block ends, without a pause or with one after each call."""
    calls, over, lock = Calls(), threading.Event(), threading.Lock()

    def call() -> None:
        with Client(server.grpc, timeout_seconds=timeout_seconds) as client:
            while not over.is_set():
                try:
                    client.predict(model, rows)
                except ClientError as error:
                    with lock:
                        calls.failures.append(repr(error))
                else:
                    with lock:
                        calls.answered += 1
                over.wait(pause_seconds)

    with ThreadPoolExecutor(CALLERS) as pool:
        running = [pool.submit(call) for _ in range(CALLERS)]
        try:
            yield calls
        finally:
            over.set()
        for each in running:
            each.result()

"""Simulate replicas of kan-serve behind a balancer, event by event: no clock, no threads, the same result every time.

A replica is one core with the batcher's rule: when a run ends, all waiting rows are the next run, up to max_batch_rows.
A request that would exceed max_queue_rows is refused at once. The caller gives the time of a run.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.capacity.arrivals import Arrivals

Balancer = Literal["round robin", "least requests", "random"]
BALANCERS: tuple[Balancer, ...] = ("round robin", "least requests", "random")
# Takes the number of requests in a run that were in no earlier run, and the number of rows.
RunSeconds = Callable[[int, int], float]
# The mean of Envoy's first pause before a retry, which is random between 0 and 10 ms (deploy/envoy/envoy.yaml).
_RETRY_SECONDS = 5e-3


@dataclass(frozen=True)
class Fleet:
    """The replicas and their balancer.

    Args:
        replicas: Number of replicas.
        balancer: How the replica of the next request is chosen. "least requests" is Envoy's: of two random replicas
            the one with fewer requests.
        max_batch_rows: As in kan-serve's settings.
        max_queue_rows: As in kan-serve's settings.
    """

    replicas: int
    balancer: Balancer = "least requests"
    max_batch_rows: int = 512
    max_queue_rows: int = 8192


@dataclass(frozen=True)
class Loss:
    """One replica is killed and comes back empty. Its requests are retried on other replicas.

    Args:
        at_seconds: Time of the kill.
        away_seconds: How long the replica is away.
    """

    at_seconds: float
    away_seconds: float


@dataclass(frozen=True)
class Outcome:
    """The result of a simulation.

    Attributes:
        latency_seconds: [requests], from arrival to the end of the run with the request's last row; NaN: no answer.
        shed: Number of requests refused because the queue was full.
        failed: Number of requests for which no replica was up.
        utilisation: Share of time in which the replicas ran, without the time away.
        rows_a_run: Average number of rows per run.
        inside: Average number of requests that waited or ran.
        end_seconds: Time of the last event.
    """

    latency_seconds: NDArray[np.float64]
    shed: int
    failed: int
    utilisation: float
    rows_a_run: float
    inside: float
    end_seconds: float

    @property
    def refused_share(self) -> float:
        """The share of the requests without an answer."""
        return (self.shed + self.failed) / len(self.latency_seconds)

    def percentile_seconds(self, percent: float) -> float:
        """A percentile of the latencies of answered requests; NaN if none was answered."""
        answered = self.latency_seconds[~np.isnan(self.latency_seconds)]
        return float(np.percentile(answered, percent)) if len(answered) else float("nan")


def simulate(
    arrivals: Arrivals, fleet: Fleet, run_seconds: RunSeconds, loss: Loss | None = None, seed: int = 0
) -> Outcome:
    """Simulate the arrivals on a fleet.

    Args:
        arrivals: The requests.
        fleet: The replicas.
        run_seconds: Gives the time of a run.
        loss: The loss of one replica; None: there is none.
        seed: Seed of the balancer's random numbers.
    """
    return _Simulation(arrivals, fleet, run_seconds, loss, seed).outcome()


@dataclass(eq=False, slots=True)
class _Replica:
    queue: deque[tuple[int, int]] = field(default_factory=deque)  # (number of the request, its waiting rows)
    queue_rows: int = 0
    batch: list[int] | None = None  # requests whose last rows run now; None: nothing runs
    run_number: int = -1
    run_started: float = 0.0
    requests: int = 0


class _Simulation:
    def __init__(self, arrivals: Arrivals, fleet: Fleet, run_seconds: RunSeconds, loss: Loss | None, seed: int) -> None:
        self._seconds: list[float] = arrivals.seconds.tolist()
        self._rows: list[int] = arrivals.rows.tolist()
        self._fleet, self._run_seconds, self._loss = fleet, run_seconds, loss
        self._random = random.Random(seed)
        self._alive = [_Replica() for _ in range(fleet.replicas)]
        self._turn = 0
        # Future events: (time, number that orders events of the same time, function).
        self._events: list[tuple[float, int, Callable[[float, int], None]]] = []
        self._numbers = count()
        self._running: dict[int, _Replica] = {}
        self._latencies = [float("nan")] * len(self._seconds)
        self._shed = self._failed = self._runs = self._run_rows = self._inside = 0
        self._busy_seconds = self._alive_seconds = self._inside_seconds = self._now = 0.0

    def outcome(self) -> Outcome:
        """Run the whole simulation; call it once."""
        if self._loss is not None:
            self._at(self._loss.at_seconds, self._lose)
        for number, seconds in enumerate(self._seconds):
            while self._events and self._events[0][0] <= seconds:
                self._step()
            self._pass(seconds)
            self._inside += 1
            self._offer(number, seconds)
        while self._inside:
            self._step()
        return Outcome(
            np.array(self._latencies),
            self._shed,
            self._failed,
            self._busy_seconds / self._alive_seconds,
            self._run_rows / max(1, self._runs),
            self._inside_seconds / self._now,
            self._now,
        )

    def _step(self) -> None:
        now, number, happens = heapq.heappop(self._events)
        self._pass(now)
        happens(now, number)

    def _at(self, seconds: float, happens: Callable[[float, int], None]) -> int:
        """Add an event at this time; returns the event's number."""
        number = next(self._numbers)
        heapq.heappush(self._events, (seconds, number, happens))
        return number

    def _pass(self, now: float) -> None:
        self._inside_seconds += self._inside * (now - self._now)
        self._alive_seconds += len(self._alive) * (now - self._now)
        self._now = now

    def _offer(self, number: int, now: float) -> None:
        """Offer a request to a replica, which takes or refuses it."""
        replica = self._choose() if self._alive else None
        rows = self._rows[number]
        if replica is None or replica.queue_rows + rows > self._fleet.max_queue_rows:
            self._failed += replica is None
            self._shed += replica is not None
            self._inside -= 1
            return
        replica.queue.append((number, rows))
        replica.queue_rows += rows
        replica.requests += 1
        if replica.batch is None:
            self._start(replica, now)

    def _choose(self) -> _Replica:
        alive = self._alive
        if self._fleet.balancer == "round robin":
            self._turn += 1
            return alive[self._turn % len(alive)]
        one = alive[int(self._random.random() * len(alive))]
        if self._fleet.balancer == "random":
            return one
        other = alive[int(self._random.random() * len(alive))]
        return other if other.requests < one.requests else one

    def _start(self, replica: _Replica, now: float) -> None:
        """Start a run with the waiting rows, up to max_batch_rows. A longer request continues in the next run."""
        room, fresh, queue = self._fleet.max_batch_rows, 0, replica.queue
        replica.batch = []
        while queue and room:
            number, left = queue[0]
            fresh += left == self._rows[number]
            if left <= room:
                queue.popleft()
                replica.batch.append(number)
                room -= left
            else:
                queue[0] = number, left - room
                room = 0
        rows = self._fleet.max_batch_rows - room
        replica.queue_rows -= rows
        replica.run_started = now
        replica.run_number = self._at(now + self._run_seconds(fresh, rows), self._end)
        self._running[replica.run_number] = replica
        self._runs += 1
        self._run_rows += rows

    def _end(self, now: float, number: int) -> None:
        """End a run, unless its replica was killed before."""
        replica = self._running.pop(number, None)
        if replica is None:
            return
        assert replica.batch is not None
        for each in replica.batch:
            self._latencies[each] = now - self._seconds[each]
        self._inside -= len(replica.batch)
        replica.requests -= len(replica.batch)
        replica.batch = None
        self._busy_seconds += now - replica.run_started
        if replica.queue:
            self._start(replica, now)

    def _lose(self, now: float, _: int) -> None:
        assert self._loss is not None
        replica = self._alive.pop()
        again = [*(replica.batch or ()), *(number for number, _ in replica.queue)]
        if replica.batch is not None:
            self._busy_seconds += now - replica.run_started
            del self._running[replica.run_number]
        for each in again:
            self._at(now + _RETRY_SECONDS, partial(self._retry, each))
        self._at(now + self._loss.away_seconds, self._return)

    def _retry(self, request: int, now: float, _: int) -> None:
        self._offer(request, now)

    def _return(self, _: float, __: int) -> None:
        self._alive.append(_Replica())

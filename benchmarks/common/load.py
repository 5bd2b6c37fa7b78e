"""The load generator, in a process of its own (``python -m benchmarks.common.load``), driven by
:class:`benchmarks.common.load_process.LoadProcess`.

The process reads pickled jobs from its input and writes results. Callers are neither threads nor tasks: one loop waits
for the connections, checks each answer and sends the caller's next request. A call costs the generator about 10 µs, so
it is not the bottleneck; every result tells its own processor time too.
"""

import ctypes
import gc
import math
import pickle
import select
import sys
import time
from contextlib import ExitStack, closing, suppress
from typing import IO, Any

import grpc
import numpy as np

from benchmarks.common.answers import Answers
from benchmarks.common.http2 import Connection
from benchmarks.common.load_job import Job, LoadError, LoadResult
from benchmarks.common.processes import cpu_seconds, stolen_seconds, tree

_CALLERS_A_CONNECTION = 16
_SCHEDULE_CONNECTIONS = 4
# grpc's servers refuse calls when a thousand wait to be read.
_MOST_IN_FLIGHT = 900
# A server keeps up with a schedule if at its end at most this share of the calls is open, or at most this number.
_OPEN_SHARE, _OPEN_AT_LEAST = 0.01, 64
_WARM_UP_SECONDS = 0.3
_TIMEOUT_SECONDS = 30.0
_SEED = 0
_PR_SET_TIMERSLACK = 29


def main() -> None:
    """Run jobs until the input ends."""
    # Without this a wait can end 50 µs late, which would delay a schedule.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.disable()  # Nothing here makes reference cycles, and a collection would delay the open calls.
    with suppress(EOFError):
        while True:
            _do(pickle.load(sys.stdin.buffer), sys.stdout.buffer)


def _do(job: Job, out: IO[bytes]) -> None:
    found: LoadResult | str
    try:
        if job.grpc_client:
            found = _with_grpc_client(job)
        elif job.rate:
            found = _by_schedule(job)
        else:
            found = _with_callers(job)
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    pickle.dump(found, out)
    out.flush()


class _Meter:
    """Counts requests and time from the end of the warm-up on; :meth:`result` returns the result."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.starts = time.perf_counter() + (_WARM_UP_SECONDS if job.seconds else 0)
        self.ends = self.starts + job.seconds if job.seconds else math.inf
        self.counting = False
        self.latencies: list[float] = []
        self.late: list[float] = []

    def start(self) -> None:
        """Start counting."""
        self._cpu, self._load_cpu = cpu_seconds(tree(self._job.pid)), time.process_time()
        self._stolen = stolen_seconds()
        self.counting = True
        self.starts = time.perf_counter()
        if self._job.seconds:
            self.ends = self.starts + self._job.seconds

    def result(self) -> LoadResult:
        """The result so far."""
        seconds = time.perf_counter() - self.starts
        load_cpu = time.process_time() - self._load_cpu
        cpu = cpu_seconds(tree(self._job.pid)) - self._cpu
        if not self.latencies:
            raise LoadError("no answer came during the measurement; wanted at least one")
        p50, p99 = np.percentile(self.latencies, [50, 99])
        late = float(np.percentile(self.late, 99)) if self.late else 0.0
        stolen = stolen_seconds() - self._stolen
        return LoadResult(len(self.latencies), seconds, cpu, load_cpu, float(p50), float(p99), late, stolen)

    def overrun(self) -> LoadResult:
        """The result if the server did not keep up: all latencies are NaN."""
        return LoadResult(1, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)


def _with_callers(job: Job) -> LoadResult:
    """Run a job whose callers each wait for an answer before the next request."""
    answers, meter = Answers(job.form, job.exchanges), _Meter(job)
    requests = [exchange.request for exchange in job.exchanges]
    stream = job.form == "stream"
    a_connection = job.callers if stream else _CALLERS_A_CONNECTION
    if job.connections:
        a_connection = -(-job.callers // job.connections)
    with ExitStack() as stack:
        connections = _connect(stack, job, -(-job.callers // a_connection))
        if stream:
            connections[0].open_stream()
        asked = [time.perf_counter()] * job.callers
        for caller in range(job.callers):
            ask(connections[caller // a_connection], caller, requests, stream=stream)
        sent, open_calls, found = job.callers, job.callers, None
        while open_calls:
            ready = wait(connections, open_calls)
            if not meter.counting and time.perf_counter() >= meter.starts:
                meter.start()
            for connection in ready:
                for tag, answer in connection.receive():
                    now = time.perf_counter()
                    caller = _identity(answer) if stream else tag
                    answers.check(caller, answer)
                    if meter.counting and now < meter.ends:
                        meter.latencies.append(now - asked[caller])
                    if found is None and (now < meter.ends if job.seconds else sent < job.requests):
                        asked[caller] = now
                        sent += 1
                        ask(connection, caller, requests, stream=stream)
                    else:
                        open_calls -= 1
                connection.flush()
            if found is None and meter.counting and time.perf_counter() >= meter.ends:
                found = meter.result()
        return meter.result() if found is None else found


def _connect(stack: ExitStack, job: Job, count: int) -> list[Connection]:
    return [stack.enter_context(closing(Connection(job.address, job.path))) for _ in range(count)]


def wait(connections: list[Connection], open_calls: int) -> list[Connection]:
    """The connections that have something to read."""
    ready = select.select(connections, (), (), _TIMEOUT_SECONDS)[0]
    if not ready:
        raise LoadError(f"no answer in {_TIMEOUT_SECONDS:g} s to {open_calls} calls")
    return ready


def ask(connection: Connection, caller: int, requests: list[bytes], *, stream: bool) -> None:
    """Send a caller's request."""
    request = requests[caller % len(requests)]
    if stream:
        connection.send(request)
    else:
        connection.call(caller, request)
    # Each request is flushed alone, as independent callers do. Requests sent in one write are cheaper for the server,
    # for Envoy by a quarter.
    connection.flush()


def _identity(answer: bytes) -> int:
    """The id of a PredictStreamResponse, its first field: the caller's number, in at most 127 bytes."""
    if answer[:1] != b"\x0a":
        raise LoadError(f"an answer on the stream does not start with its id: {answer[:100]!r}")
    return int(answer[2 : 2 + answer[1]])


def _by_schedule(job: Job) -> LoadResult:
    """Run a job whose requests arrive as a Poisson process, whether or not earlier ones have answers.

    Latencies count from the scheduled time. If too many requests have no answer, the server does not keep up; then
    there are no latencies, because they grow with time.
    """
    answers, meter = Answers(job.form, job.exchanges), _Meter(job)
    gaps = np.random.default_rng(_SEED).exponential(
        1 / job.rate, math.ceil(1.5 * job.rate * (_WARM_UP_SECONDS + job.seconds)) + 100
    )
    # A process that got no core for long may come to the end of the schedule: then no more requests follow.
    schedule = [*(np.cumsum(gaps) + time.perf_counter()), math.inf]
    requests = [exchange.request for exchange in job.exchanges]
    with ExitStack() as stack:
        connections = _connect(stack, job, job.connections or _SCHEDULE_CONNECTIONS)
        sent = answered = 0
        overrun = False
        while (now := time.perf_counter()) < meter.ends:
            while schedule[sent] <= now and sent - answered <= _MOST_IN_FLIGHT:
                ask(connections[sent % len(connections)], sent, requests, stream=False)
                if meter.counting:
                    meter.late.append(now - schedule[sent])
                sent += 1
            if sent - answered > _MOST_IN_FLIGHT:
                overrun = True
                break
            pause_seconds = max(0.0, min(schedule[sent], meter.ends) - time.perf_counter())
            for connection in select.select(connections, (), (), pause_seconds)[0]:
                for tag, answer in connection.receive():
                    now = time.perf_counter()
                    answers.check(tag, answer)
                    answered += 1
                    if meter.counting:
                        meter.latencies.append(now - schedule[tag])
                connection.flush()
            if not meter.counting and now >= meter.starts:
                meter.start()
        overrun |= sent - answered > max(_OPEN_AT_LEAST, _OPEN_SHARE * sent)
        found = meter.overrun() if overrun else meter.result()
        # Open calls are waited for: closing would cancel them, and that would cost the server time in the next load.
        while answered < sent:
            for connection in wait(connections, sent - answered):
                answered += len(connection.receive())
                connection.flush()
        return found


def _with_grpc_client(job: Job) -> LoadResult:
    """Run a job with one caller that uses grpc's own blocking client."""
    answers, meter = Answers(job.form, job.exchanges), _Meter(job)
    with closing(grpc.insecure_channel(job.address)) as channel:
        ask: Any = channel.unary_unary(job.path)
        number = 0
        while (before := time.perf_counter()) < meter.ends:
            if not meter.counting and before >= meter.starts:
                meter.start()
                before = time.perf_counter()
            answer = ask(job.exchanges[number % len(job.exchanges)].request, timeout=_TIMEOUT_SECONDS)
            now = time.perf_counter()
            answers.check(number, answer)
            number += 1
            if meter.counting:
                meter.latencies.append(now - before)
        return meter.result()


if __name__ == "__main__":
    main()

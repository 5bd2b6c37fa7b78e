"""The load generator, in a process of its own (``python -m benchmarks.common.load``), driven by :class:`LoadProcess`.

It takes pickled jobs from its input and gives what it saw. Callers are no threads and no tasks: one loop waits for the
connections, checks each answer and sends its caller's next request. A call costs it some 10 µs, so that it is not what
is measured; what it did cost is told with every number.
"""

import ctypes
import gc
import math
import pickle
import select
import subprocess
import sys
import time
from contextlib import closing, suppress
from types import TracebackType
from typing import IO, Any

import grpc
import numpy as np

from benchmarks.common.answers import Answers
from benchmarks.common.http2 import Connection
from benchmarks.common.load_job import Job, Seen
from benchmarks.common.processes import cpu_seconds, stolen_seconds, tree

_CALLERS_A_CONNECTION = 16
_SCHEDULE_CONNECTIONS = 4
# grpc's servers refuse calls where a thousand wait to be read.
_MOST_IN_FLIGHT = 900
# Who keeps up with a schedule has no more open at its end than this share of what was sent, or so many.
_OPEN_SHARE, _OPEN_AT_LEAST = 0.01, 64
_WARM_UP_SECONDS = 0.3
_TIMEOUT_SECONDS = 30.0
_SEED = 0
_PR_SET_TIMERSLACK = 29


class LoadError(Exception):
    """A load could not be measured: an error, a wrong answer, silence."""


class LoadProcess:
    """The generator's process; use it as a context."""

    def __enter__(self) -> "LoadProcess":
        command = [sys.executable, "-m", "benchmarks.common.load"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        self._process.terminate()
        self._process.wait()

    def run(self, job: Job) -> Seen:
        """Do a job, and wait for it.

        Raises:
            LoadError: What went wrong, with the job.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(job, self._process.stdin)
        self._process.stdin.flush()
        found = pickle.load(self._process.stdout)
        if isinstance(found, Seen):
            return found
        raise LoadError(f"{job}: {found}")


def main() -> None:
    """Do jobs until the input ends."""
    # Else a wait may end 50 µs late, which a schedule would show.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    gc.disable()  # nothing here makes cycles, and a collection would lengthen whatever is open
    with suppress(EOFError):
        while True:
            _do(pickle.load(sys.stdin.buffer), sys.stdout.buffer)


def _do(job: Job, out: IO[bytes]) -> None:
    found: Seen | str
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
    """Counts from the end of the warm-up on; :meth:`seen` gives what came since."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.starts = time.perf_counter() + (_WARM_UP_SECONDS if job.seconds else 0)
        self.ends = self.starts + job.seconds if job.seconds else math.inf
        self.counting = False
        self.latencies: list[float] = []
        self.late: list[float] = []

    def start(self) -> None:
        """Count from now on."""
        self._cpu, self._load_cpu = cpu_seconds(tree(self._job.pid)), time.process_time()
        self._stolen = stolen_seconds()
        self.counting = True
        self.starts = time.perf_counter()
        if self._job.seconds:
            self.ends = self.starts + self._job.seconds

    def seen(self) -> Seen:
        """What there was until now."""
        seconds = time.perf_counter() - self.starts
        load_cpu = time.process_time() - self._load_cpu
        cpu = cpu_seconds(tree(self._job.pid)) - self._cpu
        if not self.latencies:
            raise LoadError("no answer came while it was measured")
        p50, p99 = np.percentile(self.latencies, [50, 99])
        late = float(np.percentile(self.late, 99)) if self.late else 0.0
        stolen = stolen_seconds() - self._stolen
        return Seen(len(self.latencies), seconds, cpu, load_cpu, float(p50), float(p99), late, stolen)

    def overrun(self) -> Seen:
        """What there is to say where the server did not keep up."""
        return Seen(1, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)


def _with_callers(job: Job) -> Seen:
    """Callers that each wait for one answer before they ask again."""
    answers, meter = Answers(job.form, job.exchanges), _Meter(job)
    requests = [exchange.request for exchange in job.exchanges]
    stream = job.form == "stream"
    a_connection = job.callers if stream else _CALLERS_A_CONNECTION
    connections = [Connection(job.address, job.path) for _ in range(-(-job.callers // a_connection))]
    try:
        if stream:
            connections[0].open_stream()
        asked = [time.perf_counter()] * job.callers
        for caller in range(job.callers):
            _ask(connections[caller // a_connection], caller, requests, stream=stream)
        sent, open_calls, found = job.callers, job.callers, None
        while open_calls:
            ready = select.select(connections, (), (), _TIMEOUT_SECONDS)[0]
            if not ready:
                raise LoadError(f"no answer in {_TIMEOUT_SECONDS:g} s to {open_calls} calls")
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
                        _ask(connection, caller, requests, stream=stream)
                    else:
                        open_calls -= 1
                connection.flush()
            if found is None and meter.counting and time.perf_counter() >= meter.ends:
                found = meter.seen()
        return meter.seen() if found is None else found
    finally:
        for connection in connections:
            connection.close()


def _ask(connection: Connection, caller: int, requests: list[bytes], *, stream: bool) -> None:
    request = requests[caller % len(requests)]
    if stream:
        connection.send(request)
    else:
        connection.call(caller, request)
    # Each on its own, as callers do who know nothing of one another: requests sent in one piece would be cheaper for
    # the server, for Envoy by a quarter.
    connection.flush()


def _identity(answer: bytes) -> int:
    """The id of a PredictStreamResponse, its first field: the caller's number, in at most 127 bytes."""
    if answer[:1] != b"\x0a":
        raise LoadError(f"an answer on the stream does not start with its id: {answer[:100]!r}")
    return int(answer[2 : 2 + answer[1]])


def _by_schedule(job: Job) -> Seen:
    """Requests that arrive as a Poisson process, whatever became of those before; latency from the scheduled moment.

    Where too many have no answer the server does not keep up, and nothing is said of latencies: they grow with time.
    """
    answers, meter = Answers(job.form, job.exchanges), _Meter(job)
    gaps = np.random.default_rng(_SEED).exponential(
        1 / job.rate, math.ceil(1.5 * job.rate * (_WARM_UP_SECONDS + job.seconds)) + 100
    )
    schedule = (np.cumsum(gaps) + time.perf_counter()).tolist()
    requests = [exchange.request for exchange in job.exchanges]
    connections = [Connection(job.address, job.path) for _ in range(_SCHEDULE_CONNECTIONS)]
    try:
        sent = answered = 0
        overrun = False
        while (now := time.perf_counter()) < meter.ends:
            while schedule[sent] <= now and sent - answered <= _MOST_IN_FLIGHT:
                _ask(connections[sent % len(connections)], sent, requests, stream=False)
                if meter.counting:
                    meter.late.append(now - schedule[sent])
                sent += 1
            if sent - answered > _MOST_IN_FLIGHT:
                overrun = True
                break
            wait = max(0.0, min(schedule[sent], meter.ends) - time.perf_counter())
            for connection in select.select(connections, (), (), wait)[0]:
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
        found = meter.overrun() if overrun else meter.seen()
        while answered < sent:  # closing now would cancel them, which is work for the server beside the next load
            ready = select.select(connections, (), (), _TIMEOUT_SECONDS)[0]
            if not ready:
                raise LoadError(f"no answer in {_TIMEOUT_SECONDS:g} s to {sent - answered} calls")
            for connection in ready:
                answered += len(connection.receive())
                connection.flush()
        return found
    finally:
        for connection in connections:
            connection.close()


def _with_grpc_client(job: Job) -> Seen:
    """One caller with grpc's own blocking client."""
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
        return meter.seen()


if __name__ == "__main__":
    main()

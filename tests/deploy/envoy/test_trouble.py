"""deploy/envoy in trouble: callers who never end their requests, a replica that hangs, its own end."""

import contextlib
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import yaml

from tests.kit.callers import http2
from tests.kit.callers.cancelling import SERVING, cancel_calls, check_health
from tests.kit.callers.protocols import KanApi
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.deploy

COMPOSE = Path(__file__).parents[3] / "deploy" / "compose.yaml"
# Below a stream's window and what is kept to be sent again; many times the heap.
UNFINISHED, UNFINISHED_BYTES = 700, 1_000_000
_FRAME_BYTES, _WINDOW_BYTES = 16384, 65535


class Unfinished:
    """One connection with many requests that never end."""

    def __init__(self, address: str) -> None:
        self.sent = 0
        self._window, self._rest = _WINDOW_BYTES, b""
        self._socket = http2.connect(address)
        self._socket.sendall(http2.hello())
        self._streams = [2 * number + 1 for number in range(UNFINISHED)]
        for stream in self._streams:
            self._socket.sendall(http2.call(KanApi.path, stream))

    def send(self) -> None:
        """All streams at the same pace, as far as the connection's window lets, until Envoy has enough."""
        first = b"\0" + struct.pack(">I", 2**24 - 100)  # a message of 16 MB, of which one is sent
        with contextlib.suppress(OSError):
            for part in range(0, UNFINISHED_BYTES, _FRAME_BYTES):
                body = (b"" if part else first).ljust(_FRAME_BYTES, b"\0")
                for stream in self._streams:
                    while self._window < _FRAME_BYTES:
                        self._receive()
                    self._socket.sendall(http2.frame(http2.DATA, 0, stream, body))
                    self._window -= _FRAME_BYTES
                    self.sent += _FRAME_BYTES

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _receive(self) -> None:
        data = self._socket.recv(2**16)
        if not data:
            raise ConnectionResetError
        self._rest += data
        while len(self._rest) >= 9:
            size, kind = int.from_bytes(self._rest[:3], "big"), self._rest[3]
            if len(self._rest) < 9 + size:
                return
            stream, payload = int.from_bytes(self._rest[5:9], "big"), self._rest[9 : 9 + size]
            self._rest = self._rest[9 + size :]
            if kind == http2.WINDOW_UPDATE and stream == 0:
                self._window += int.from_bytes(payload, "big")


@contextmanager
def peak(resident_bytes: Callable[[], int]) -> Iterator[list[int]]:
    """The most memory that is seen until the block ends."""
    found, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            found[0] = max(found[0], resident_bytes())

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield found
        finally:
            over.set()
    watching.result()


@pytest.mark.parametrize("front", ["envoy.yaml", "workers/envoy.yaml"], indirect=True)
def test_one_caller_cannot_take_all_memory(front: Any) -> None:
    """700 requests of a megabyte that never end: Envoy stays well within its container, and no call of others fails.

    Calls of others wait for seconds meanwhile. They come after the 700: nothing tells a call in their midst from them
    where Envoy has one connection to a replica. tests/service/frontends/grpcio/test_receiving.py has a call in their
    midst on a connection of its own, which must not be refused as one of them.
    """
    limit = yaml.safe_load(COMPOSE.read_text())["services"]["envoy"]["deploy"]["resources"]["limits"]["memory"]
    limit_bytes = int(limit.removesuffix("m")) * 2**20
    before = front.resident_bytes()
    attack = Unfinished(front.address)
    wait_for(lambda: front.statistic("envoy_cluster_upstream_rq_active") >= UNFINISHED, "all its requests have begun")
    with front.load(callers=2) as found, peak(front.resident_bytes) as most:
        attack.send()
        answered = found.answered
        wait_for(lambda: found.answered > answered, "others are answered while it holds its requests")
    with front.load(callers=2) as after, front.connected() as predict:
        for _ in range(100):
            predict(front.request(), timeout=30)
    attack.close()
    assert attack.sent > 100e6
    assert before + 50e6 < most[0] < 0.8 * limit_bytes
    assert found.failures + after.failures == []


def test_a_hung_replica_does_not_keep_its_calls(front: Any) -> None:
    """One that is there and does nothing any more: after 9 s its calls are answered by the other one."""
    first, second = front.replicas
    with front.load(callers=8) as found:
        wait_for(lambda: min(first.answered(), second.answered()) > 50, "both are called")
        first.send(signal.SIGSTOP)
        wait_for(lambda: front.statistic("envoy_cluster_membership_healthy") == 1, "it is noticed")
        before = second.answered()
        wait_for(lambda: second.answered() > before + 100, "the other one goes on")
    assert found.failures == []
    assert 2 < found.slowest_seconds < 15


def test_it_ends_when_its_calls_are_answered(front: Any) -> None:
    """SIGTERM: new connections are refused, calls that replicas are at work on are answered; then exit code 0."""
    with front.connected() as predict:
        predict(front.request(), timeout=30)
        for replica in front.replicas:
            replica.send(signal.SIGSTOP)
        calls = [predict.future(front.request(), timeout=30) for _ in range(8)]
        wait_for(lambda: front.statistic("envoy_cluster_upstream_rq_active") == 8, "they are under way")
        front.process.terminate()
        wait_for(lambda: not accepts(front.address), "new connections are refused")
        assert front.process.poll() is None
        for replica in front.replicas:
            replica.send(signal.SIGCONT)
        assert all(call.result() for call in calls)
    assert front.process.wait(30) == 0


def test_no_call_breaks_off_when_it_ends(front: Any) -> None:
    """SIGTERM under load: every call is answered, or finds nobody who takes it; none is taken and lost."""
    with front.load(callers=8) as found:
        wait_for(lambda: found.answered > 100, "calls are answered")
        front.process.terminate()
        assert front.process.wait(30) == 0
        wait_for(lambda: len(found.failures) > 0, "nobody is there")
    # The second: it was told to go before the call had a stream; gRPC's clients try such a call again by themselves.
    not_taken = ("failed to connect", "GOAWAY received")
    assert [each for each in found.failures if not any(words in each for words in not_taken)] == []


def test_a_second_signal_ends_it_at_once(front: Any) -> None:
    """A stream whose caller does not end it holds Envoy for 20 s after the first signal, and not after the second."""
    over = threading.Event()

    def requests() -> Iterator[bytes]:
        yield front.request()
        over.wait()

    with grpc.insecure_channel(front.address) as channel:
        stream: Any = cast(Any, channel.stream_stream("/kan_api.v1.PredictionService/PredictStream"))(requests())
        next(stream)
        front.process.terminate()
        wait_for(lambda: not accepts(front.address), "it has begun to drain")
        assert front.process.poll() is None
        front.process.terminate()
        assert front.process.wait(5) == 0
        over.set()
        with pytest.raises(grpc.RpcError):
            next(stream)


def accepts(address: str) -> bool:
    """Whether somebody listens there."""
    try:
        http2.connect(address, 5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("together", [1, 1000])
def test_a_connection_outlives_cancelled_calls(together: int, front: Any) -> None:
    """5,000 calls that are cancelled at once close no connection of their caller, and both replicas stay healthy."""
    with http2.connect(front.address) as connection:
        assert check_health(connection, cancel_calls(connection, KanApi.path, 5000, together)) == SERVING
    assert front.statistic("envoy_cluster_membership_healthy") == 2

"""Many callers with more rows than a server can hold at once: no call fails, and every row gets its right answer."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client import AsyncClient, Client, DeadlineExceeded, Overloaded, Prediction
from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Start
from tests.kit.server.metrics import codes

Floats = NDArray[np.float32]
Answer = Callable[[str, Floats], Floats]
# Of these a server can hold the requests of eight bulk callers, of four rows each.
CROWDED = ("--max-queue-rows", "64", "--max-request-rows", "64", "--max-batch-rows", "16")
CALLERS = 24


def rows_of(seed: int, count: int) -> Floats:
    """Rows that are a caller's own."""
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)


@pytest.fixture
def crowded(kan_serve: Start, write_model: WriteModel) -> Any:
    """A kan-serve of classifier and affine with little room."""
    for kind in ("classifier", "affine"):
        write_model(kind)
    return kan_serve(*CROWDED)


def ask_blocking(address: str, asked: list[Floats], bulk: bool) -> list[Floats]:
    """All at once by Client, one thread each."""
    with Client(address, 60) as client, ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(lambda rows: client.predict("classifier", rows, bulk=bulk).values, asked))


def ask_asyncio(address: str, asked: list[Floats], bulk: bool) -> list[Floats]:
    """All at once by AsyncClient, one task each."""

    async def ask() -> list[Floats]:
        async with AsyncClient(address, 60) as client:
            calls = (client.predict("classifier", rows, bulk=bulk) for rows in asked)
            return [got.values for got in await asyncio.gather(*calls)]

    return asyncio.run(ask())


def stream_blocking(address: str, asked: list[Floats], bulk: bool) -> list[Floats]:
    """A stream each by Client, in blocks of three rows and of twenty, which alone are more than a caller's share."""

    def ask(rows: Floats) -> Floats:
        return join_values(list(client.predict_stream("classifier", blocks_of(rows), bulk=bulk)))

    with Client(address, 60) as client, ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(ask, asked))


def stream_asyncio(address: str, asked: list[Floats], bulk: bool) -> list[Floats]:
    """The same by AsyncClient."""

    async def ask(client: AsyncClient, rows: Floats) -> Floats:
        return join_values([got async for got in client.predict_stream("classifier", blocks_of(rows), bulk=bulk)])

    async def ask_all() -> list[Floats]:
        async with AsyncClient(address, 60) as client:
            return await asyncio.gather(*(ask(client, rows) for rows in asked))

    return asyncio.run(ask_all())


def blocks_of(rows: Floats) -> Iterator[Floats]:
    """The rows, in blocks of two lengths by turns."""
    start, lengths = 0, (3, 3, 3, 20)
    for number in range(len(rows)):
        if start >= len(rows):
            return
        yield rows[start : start + lengths[number % 4]]
        start += lengths[number % 4]


def join_values(predictions: list[Prediction]) -> Floats:
    """The answers to all blocks."""
    return np.concatenate([prediction.values for prediction in predictions])


@pytest.mark.slow
@pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "interactive"])
@pytest.mark.parametrize("ask", [ask_blocking, ask_asyncio, stream_blocking, stream_asyncio])
def test_more_callers_than_there_is_room_for_are_all_answered(
    crowded: Any, answer: Answer, ask: Callable[..., list[Floats]], bulk: bool
) -> None:
    """Some are refused repeatedly. Each sends fewer rows, later, and gets numpy's answers in order."""
    asked = [rows_of(seed, 150) for seed in range(CALLERS)]
    for rows, got in zip(asked, ask(crowded.grpc, asked, bulk), strict=True):
        np.testing.assert_allclose(got, answer("classifier", rows), atol=1e-6)
    assert set(codes(crowded.http, "classifier")) <= {"OK", "RESOURCE_EXHAUSTED"}


@pytest.mark.slow
def test_kan_clients_at_once_are_all_answered(crowded: Any, answer: Answer, tmp_path: Path) -> None:
    """A process each, and files longer than all that the server can hold."""
    rows = rows_of(0, 4100).round(3)
    path = tmp_path / "rows.csv"
    np.savetxt(path, rows, delimiter=",", header="x0,x1,x2,x3", comments="", fmt="%.3f")
    command = [sys.executable, "-m", "service.client.cli", "predict", "affine", str(path), "--address", crowded.grpc]
    command += ["--timeout-seconds", "60"]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in started:
        out, err = process.communicate()
        assert (process.returncode, err) == (0, "")
        np.testing.assert_allclose(np.array(out.split()[1:], float), answer("affine", rows)[:, 0], atol=1e-4)


class Refusing(grpc.GenericRpcHandler):
    """A server that refuses the first requests for rows, and notes the rows of each that comes.

    Args:
        refusals: how many it refuses.
        trailers: what it says with each refusal.
        limits: what it says that it takes.
    """

    def __init__(
        self, refusals: float, trailers: tuple[tuple[str, str], ...], limits: prediction_pb2.Limits | None
    ) -> None:
        self.came: list[int] = []
        self.trailers = trailers
        self._refusals, self._limits = refusals, limits

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method.rpartition("/")[2]
        if method == "PredictStream":
            return grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.unary_unary_rpc_method_handler(self._predict if method == "Predict" else self._get_model)

    def _predict(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = prediction_pb2.PredictRequest.FromString(request)
        self.came.append(asked.features.rows)
        if len(self.came) <= self._refusals:
            context.set_trailing_metadata(self.trailers)
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        return self._answer(asked).SerializeToString()

    def _stream(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            asked = prediction_pb2.PredictRequest.FromString(request)
            self.came.append(asked.features.rows)
            answer = prediction_pb2.PredictStreamResponse(id=asked.id)
            if len(self.came) <= self._refusals:
                answer.failure.code, answer.failure.message = 8, "full"
                for _, milliseconds in self.trailers:
                    answer.failure.retry_after_seconds = int(milliseconds) / 1e3
            else:
                answer.prediction.CopyFrom(self._answer(asked))
            yield answer.SerializeToString()

    def _answer(self, asked: prediction_pb2.PredictRequest) -> prediction_pb2.PredictResponse:
        answer = prediction_pb2.PredictResponse(version=1)
        numbers = np.frombuffer(asked.features.raw, "<f4").reshape(-1, asked.features.columns)[:, :1]
        answer.outputs.add(name="y", values={"rows": len(numbers), "columns": 1, "raw": numbers.tobytes()})
        return answer

    def _get_model(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        answer = prediction_pb2.GetModelResponse(manifest=manifest_pb2.ModelManifest(name="m", version=1))
        if self._limits is not None:
            answer.limits.CopyFrom(self._limits)
        return answer.SerializeToString()


@contextlib.contextmanager
def refusing(
    refusals: float,
    milliseconds: str | None,
    limits: prediction_pb2.Limits | None = None,
    kind: type[Refusing] = Refusing,
) -> Iterator[tuple[str, Refusing]]:
    """Such a server: its address, and the requests that it got."""
    trailers = () if milliseconds is None else (("grpc-retry-pushback-ms", milliseconds),)
    with ThreadPoolExecutor(4) as pool:
        server, handler = grpc.server(pool), kind(refusals, trailers, limits)
        server.add_generic_rpc_handlers([handler])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}", handler
        finally:
            server.stop(None).wait()


def predict_blocking(address: str, rows: Floats, seconds: float = 60) -> Floats:
    """By Client."""
    with Client(address, seconds) as client:
        return client.predict("m", rows).values


def predict_asyncio(address: str, rows: Floats, seconds: float = 60) -> Floats:
    """By AsyncClient."""

    async def ask() -> Floats:
        async with AsyncClient(address, seconds) as client:
            return (await client.predict("m", rows)).values

    return asyncio.run(ask())


def blocks_blocking(address: str, rows: Floats, seconds: float = 60) -> Floats:
    """By a stream of Client, in one block."""
    with Client(address, seconds) as client:
        return join_values(list(client.predict_stream("m", [rows])))


def blocks_asyncio(address: str, rows: Floats, seconds: float = 60) -> Floats:
    """By a stream of AsyncClient, in one block."""

    async def ask() -> Floats:
        async with AsyncClient(address, seconds) as client:
            return join_values([got async for got in client.predict_stream("m", [rows])])

    return asyncio.run(ask())


every_way = pytest.mark.parametrize("ask", [predict_blocking, predict_asyncio, blocks_blocking, blocks_asyncio])


@every_way
def test_refused_rows_come_again_as_fewer_a_request(ask: Callable[..., Floats]) -> None:
    """Half of the rows after each refusal. A block of a stream is one request, so it is sent again whole."""
    rows = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    limits = prediction_pb2.Limits(max_request_rows=1000, max_message_bytes=2**24, shared_request_rows=512)
    with refusing(3, "5", limits) as (address, server):
        np.testing.assert_array_equal(ask(address, rows), rows[:, :1])
    if ask in (blocks_blocking, blocks_asyncio):
        assert server.came == [1000] * 4
    else:
        assert server.came[:4] == [512, 256, 128, 64]
        assert sum(server.came[3:]) == 1000


@every_way
def test_a_server_that_says_nothing_of_its_limits_gets_what_it_always_got(ask: Callable[..., Floats]) -> None:
    """4096 rows a request."""
    rows = np.ones((4096, 2), np.float32)
    with refusing(0, None) as (address, server):
        assert len(ask(address, rows)) == 4096
    assert server.came == [4096]


@every_way
@pytest.mark.parametrize("milliseconds", [None, "-1", "600000"])
def test_what_waiting_does_not_help_fails_at_once(ask: Callable[..., Floats], milliseconds: str | None) -> None:
    """A message that is too large says nothing of coming back; nor is there time for a wait of minutes."""
    with refusing(float("inf"), milliseconds) as (address, server):
        with pytest.raises(Overloaded, match="full"):
            ask(address, np.ones((2, 2), np.float32))
        assert server.came == [2]


@every_way
def test_a_server_that_stays_full_is_asked_a_few_times_until_the_deadline(ask: Callable[..., Floats]) -> None:
    """The tries become rarer, so that refused load does not return at once."""
    with refusing(float("inf"), "1") as (address, server):
        # Where the deadline passes during the last call, that is what there is to tell.
        with pytest.raises((Overloaded, DeadlineExceeded)):
            ask(address, np.ones((1, 2), np.float32), seconds=1.0)
        # 25, 50, 100, 200 and 400 ms at least lie between the first six; the last waits are parts of what is left.
        assert len(server.came) <= 12


class RefusingStreams(Refusing):
    """A server that has no room for the first streams."""

    streams = 0

    def _stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self.streams += 1
        if self.streams <= 3:
            context.set_trailing_metadata(self.trailers)
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full of streams")
        yield from super()._stream(requests, context)


@pytest.mark.parametrize("ask", [blocks_blocking, blocks_asyncio])
def test_a_stream_that_is_refused_is_opened_again(ask: Callable[..., Floats]) -> None:
    """It is opened again as long as the server gives a time for the next try."""
    rows = np.ones((5, 2), np.float32)
    with refusing(0, "5", kind=RefusingStreams) as (address, server):
        np.testing.assert_array_equal(ask(address, rows), rows[:, :1])
    assert server.came[-1] == 5
    with refusing(0, None, kind=RefusingStreams) as (address, _), pytest.raises(Overloaded, match="streams"):
        ask(address, rows)

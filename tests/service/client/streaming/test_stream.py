"""Streams of blocks, by both clients, against a kan-serve in a process of its own."""

import asyncio
import gc
import itertools
import queue
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client import (
    AsyncClient,
    Client,
    ClientError,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    Prediction,
    Unavailable,
)
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, Start, serving
from tests.kit.server.metrics import codes

Floats = NDArray[np.float32]
Answer = Callable[[str, Floats], Floats]

ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
# Blocks under way, one that is encoded, and one that is read.
MOST_READ_AHEAD = 64 + 2


class Outcome:
    """The predictions of a loop over a stream, and the error that ended it."""

    def __init__(self) -> None:
        self.predictions: list[Prediction] = []
        self.error: BaseException | None = None

    @property
    def values(self) -> list[Floats]:
        return [prediction.values for prediction in self.predictions]


def ask_blocking(
    address: Any, model: str, blocks: Any, seconds: float = 60, attempts: int = 5, **options: Any
) -> Outcome:
    """By Client."""
    outcome = Outcome()
    with Client(address, seconds, attempts) as client:
        try:
            for prediction in client.predict_stream(model, blocks, **options):
                outcome.predictions.append(prediction)
        except Exception as error:
            outcome.error = error
    return outcome


def ask_asyncio(
    address: Any, model: str, blocks: Any, seconds: float = 60, attempts: int = 5, **options: Any
) -> Outcome:
    """By AsyncClient; nothing of the stream is left behind."""
    outcome = Outcome()

    async def ask() -> None:
        async with AsyncClient(address, seconds, attempts) as client:
            try:
                async for prediction in client.predict_stream(model, blocks, **options):
                    outcome.predictions.append(prediction)
            except Exception as error:
                outcome.error = error
            await alone()

    asyncio.run(ask())
    return outcome


Ask = Callable[..., Outcome]
both = pytest.mark.parametrize("ask", [ask_blocking, ask_asyncio], ids=["blocking", "asyncio"])


KINDS = ("affine", "classifier", "slow")


@pytest.fixture(scope="module")
def gate(module_gate: Gate) -> Gate:
    """Of the server that the tests share."""
    return module_gate


@pytest.fixture(scope="module")
def server(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine, classifier and slow, which the gate holds. The tests share it, so its counters go on."""
    folder = tmp_path_factory.mktemp("shared")
    for kind in KINDS:
        write_version(folder / "models", kind)
    with serving(folder / "models", log=folder / "log") as started:
        yield started


@pytest.fixture
def own_server(gate: Gate, kan_serve: Start, write_model: WriteModel) -> KanServe:
    """The same for one test, which may stop it; its counters begin at 0."""
    for kind in KINDS:
        write_model(kind)
    return kan_serve()


def blocks_of(count: int) -> list[Floats]:
    """Blocks of one to five rows, all different."""
    return [np.random.default_rng(seed).normal(size=(1 + seed % 5, 4)).astype(np.float32) for seed in range(count)]


@pytest.mark.slow
@both
def test_answers_come_in_the_order_of_the_blocks(gate: Gate, own_server: KanServe, answer: Answer, ask: Ask) -> None:
    """Each block gets numpy's answer, whatever overtakes it; many share a run."""
    blocks = blocks_of(500)
    outcome = ask(own_server.grpc, "classifier", iter(blocks))
    assert outcome.error is None
    for block, prediction in zip(blocks, outcome.predictions, strict=True):
        expected = answer("classifier", block)
        np.testing.assert_allclose(prediction.values, expected, atol=1e-6)
        assert prediction.labels == tuple(["red", "green", "blue"][place] for place in expected.argmax(axis=1))
        assert (prediction.model, prediction.version) == ("classifier", 1)
    assert codes(own_server.metrics, "classifier")["OK"] == 501  # and one for the manifest
    with gate.closed(), ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, own_server.grpc, "slow", [ROWS[:1]] * 200)
        while own_server.sample("kan_request_rows_count", model="slow") < 10:
            pass
        gate.open()
        assert len(asking.result().predictions) == 200
    assert own_server.sample("kan_batch_rows_count", model="slow") < 200


@both
def test_blocks_may_be_rows_by_name(server: KanServe, answer: Answer, ask: Ask) -> None:
    """As predict takes them: arrays, one row, dicts by column name; from any iterable."""
    records = [{f"x{place}": float(value) for place, value in enumerate(row)} for row in ROWS]
    outcome = ask(server.grpc, "affine", (ROWS, ROWS[0], records, records[0]), version=1, bulk=True)
    assert outcome.error is None
    expected = answer("affine", ROWS)
    for values, wanted in zip(outcome.values, (expected, expected[:1], expected, expected[:1]), strict=True):
        np.testing.assert_allclose(values, wanted, atol=1e-5)


def test_blocks_may_be_asynchronous(server: KanServe, answer: Answer) -> None:
    """The asyncio client takes an asynchronous iterator too."""

    async def blocks() -> AsyncIterator[Floats]:
        for row in ROWS:
            await asyncio.sleep(0)
            yield row

    outcome = ask_asyncio(server.grpc, "affine", blocks())
    assert outcome.error is None
    np.testing.assert_allclose(np.concatenate(outcome.values), answer("affine", ROWS), atol=1e-5)


@both
def test_no_blocks_no_answers(server: KanServe, ask: Ask) -> None:
    """An empty iterator is no mistake; a model that is not there is one, even so."""
    outcome = ask(server.grpc, "affine", [])
    assert (outcome.predictions, outcome.error) == ([], None)
    assert isinstance(ask(server.grpc, "nope", []).error, NotFound)
    assert isinstance(ask(server.grpc, "affine", [], version=9).error, NotFound)


WRONG_BLOCKS: list[tuple[Any, str]] = [
    (None, "block 2: wanted numbers"),
    ("x0", "block 2: wanted numbers"),
    ([], r"block 2: wanted numbers .* got shape \[0\]"),
    ([[np.inf, 0, 0, 0]], r"block 2: rows\[0\] holds inf"),
    ([{"x0": 1.0}], r'block 2: rows\[0\] lacks columns "x1", "x2", "x3"'),
    (np.zeros((4097, 4)), "block 2 has 4097 rows, wanted at most 4096 of 4"),
    (np.zeros((1, 3)), "refused the rows: block 2: features has 3 columns; model 'affine' wants 4"),
    ([[np.nan, 0, 0, 0]], r"refused the rows: block 2: .*row 0, column 0 \('x0'\) is nan"),
]


@both
def test_a_wrong_block_raises_in_its_place(server: KanServe, answer: Answer, ask: Ask) -> None:
    """Client and server errors alike: all blocks before the wrong one are answered first, and none after it."""
    for wrong, message in WRONG_BLOCKS:
        outcome = ask(server.grpc, "affine", [ROWS, ROWS[:2], wrong, ROWS])
        assert isinstance(outcome.error, InvalidInput), (wrong, outcome.error)
        assert outcome.error.code is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(InvalidInput, match=message):
            raise outcome.error
        for values, rows in zip(outcome.values, (ROWS, ROWS[:2]), strict=True):
            np.testing.assert_allclose(values, answer("affine", rows), atol=1e-5)


@pytest.mark.slow
@both
def test_what_the_callers_iterator_raises_is_raised(server: KanServe, ask: Ask) -> None:
    """The same error object, after the answers to all earlier blocks; also for the first block."""

    def broken(count: int, error: BaseException) -> Iterator[Floats]:
        yield from [ROWS] * count
        raise error

    for count in (0, 3, 200):
        error = ZeroDivisionError("mine")
        outcome = ask(server.grpc, "affine", broken(count, error))
        assert outcome.error is error
        assert len(outcome.predictions) == count


def test_blocks_that_are_none_are_told_at_once() -> None:
    """Before any call, for blocks that are not iterable, an invalid timeout, and a client that is not connected."""
    with Client("127.0.0.1:1") as client:
        with pytest.raises(TypeError, match="iterable"):
            client.predict_stream("affine", 5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="timeout_seconds"):
            client.predict_stream("affine", [], timeout_seconds=0)
    with pytest.raises(ValueError, match="async with"):
        AsyncClient("127.0.0.1:1").predict_stream("affine", [])


def let_go(gone: threading.Event) -> bool:
    """Whether an iterator is released. A caught error would keep the objects on its stack."""
    gc.collect()
    return gone.wait(60)


async def alone() -> None:
    """Check that no other task is left, and of grpc's tasks only those that wait for the status of a call.

    Those end shortly after their calls, except if a call is cancelled in the moment in which its server ends it.
    """
    others = [task for task in asyncio.all_tasks() if "_handle_status_once_received" not in str(task)]
    left = [task for task in others if task is not asyncio.current_task()]
    if left:
        _, late = await asyncio.wait(left, timeout=60)
        assert not late


def arrivals(server: KanServe) -> float:
    """How many requests to slow the server has had so far."""
    return server.sample("kan_request_rows_count", model="slow")


class Endless:
    """Endless blocks. Counts the blocks that were read, and records when the iterator is released."""

    def __init__(self, rows: int) -> None:
        self.read = 0
        self.gone = threading.Event()
        self._rows = np.zeros((rows, 4), np.float32)

    def blocks(self) -> Iterator[Floats]:
        try:
            while True:
                self.read += 1
                yield self._rows
        finally:
            self.gone.set()


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "most_read_ahead"), [(1, MOST_READ_AHEAD), (250, 2 + 2), (4096, 1 + 2)])
def test_a_stream_reads_no_further_than_it_is_taken(server: KanServe, rows: int, most_read_ahead: int) -> None:
    """From an endless iterator only the taken blocks and those in flight are read. Closing ends everything."""
    endless = Endless(rows)
    with Client(server.grpc, 60) as client:
        with closing(client.predict_stream("affine", endless.blocks())) as stream:
            for _ in itertools.islice(stream, 20):
                assert endless.read <= 20 + most_read_ahead
        assert endless.gone.wait(60)
        assert endless.read <= 20 + most_read_ahead
        assert client.predict("affine", ROWS).version == 1


def test_a_stream_of_asyncio_reads_no_further_than_it_is_taken(server: KanServe) -> None:
    """The same, and no task is left when the loop over it is left."""
    endless = Endless(1)

    async def ask() -> None:
        async with AsyncClient(server.grpc, 60) as client:
            async with aclosing(client.predict_stream("affine", endless.blocks())) as stream:
                taken = 0
                async for _ in stream:
                    taken += 1
                    assert endless.read <= taken + MOST_READ_AHEAD
                    if taken == 20:
                        break
            await alone()
            assert (await client.predict("affine", ROWS)).version == 1

    asyncio.run(ask())
    assert let_go(endless.gone)


def test_a_stream_that_is_left_after_its_server_ended_it_leaves_nothing(server: KanServe) -> None:
    """Not even a task of grpc, which would wait for ever for the status behind unread answers."""
    before = codes(server.metrics, "affine")["OK"]

    async def ask() -> None:
        async with AsyncClient(server.grpc, 60) as client:
            async with aclosing(client.predict_stream("affine", [ROWS] * 30)) as stream:
                await anext(stream)
                while (await asyncio.to_thread(codes, server.metrics, "affine"))["OK"] < before + 31:
                    pass
                others = asyncio.all_tasks() - {asyncio.current_task()}
                _, left = await asyncio.wait(others, timeout=60) if others else (set(), set())
                assert not left
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(ask())


def test_a_dropped_stream_is_cancelled(server: KanServe) -> None:
    """It is enough to leave the loop: the server drops the requests in flight, and the iterator is released."""
    endless = Endless(4096)
    with Client(server.grpc, 60) as client:
        for _ in client.predict_stream("slow", itertools.chain([ROWS], endless.blocks())):
            break
        assert endless.gone.wait(60)
        # The block that ran goes on; it alone was under way.
        while server.sample("kan_queue_rows"):
            pass
        assert client.predict("affine", ROWS).version == 1


def test_a_cancelled_task_cancels_its_stream_alone(gate: Gate, server: KanServe) -> None:
    """Its iterator is cancelled with it, the server counts it, and the client goes on."""
    ended: list[type[BaseException] | None] = []
    arrived, cancelled = arrivals(server), codes(server.metrics, "slow")["CANCELLED"]

    async def blocks() -> AsyncIterator[Floats]:
        try:
            yield np.zeros((4096, 4), np.float32)
            await asyncio.Event().wait()
        except BaseException as error:
            ended.append(type(error))
            raise

    async def ask() -> None:
        async with AsyncClient(server.grpc, 60) as client:

            async def consume() -> None:
                async for _ in client.predict_stream("slow", blocks()):
                    raise AssertionError

            with gate.closed():
                task = asyncio.create_task(consume())
                while await asyncio.to_thread(arrivals, server) == arrived:
                    pass
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                while (await asyncio.to_thread(codes, server.metrics, "slow"))["CANCELLED"] == cancelled:
                    pass
            await alone()
            assert (await client.predict("affine", ROWS)).version == 1

    asyncio.run(ask())
    assert ended == [asyncio.CancelledError]


def test_the_next_block_may_depend_on_the_last_answer(server: KanServe, answer: Answer) -> None:
    """Each answer comes as soon as it is ready, even if few blocks have been read."""
    following: queue.Queue[Floats | None] = queue.Queue()

    def blocks() -> Iterator[Floats]:
        while (block := following.get(timeout=60)) is not None:
            yield block

    block = ROWS
    following.put(block)
    with Client(server.grpc, 60) as client:
        for turn, prediction in enumerate(client.predict_stream("affine", blocks())):
            np.testing.assert_allclose(prediction.values, answer("affine", block), atol=1e-5)
            block = block + np.tanh(prediction.values)
            following.put(block if turn < 20 else None)


@both
def test_a_stream_has_one_deadline(gate: Gate, server: KanServe, ask: Ask) -> None:
    """It ends when its time is over, both while the model runs and while the caller's iterator blocks."""
    with gate.closed():
        late = ask(server.grpc, "slow", [ROWS] * 3, seconds=0.3)
    assert isinstance(late.error, DeadlineExceeded)
    assert "within 0.3 s" in str(late.error)


def test_an_iterator_that_waits_does_not_hold_up_the_deadline(server: KanServe) -> None:
    """The stream ends though the iterator does not; it is let go once it does."""
    waiting, gone = threading.Event(), threading.Event()

    def blocks() -> Iterator[Floats]:
        try:
            yield ROWS
            waiting.wait()
            yield ROWS
        finally:
            gone.set()

    outcome = ask_blocking(server.grpc, "affine", blocks(), seconds=3)
    assert len(outcome.predictions) == 1
    assert isinstance(outcome.error, DeadlineExceeded)
    waiting.set()
    del outcome
    assert let_go(gone)


@pytest.mark.slow
@both
def test_a_server_that_stops_ends_a_stream_that_is_not_repeated(
    own_server: KanServe, kan_serve: Start, answer: Answer, ask: Ask
) -> None:
    """The answers so far are complete and in order. Another server answers the rest of the blocks."""
    blocks = blocks_of(5000)

    def stopping() -> Iterator[Floats]:
        for number, block in enumerate(blocks):
            if number == 1000:
                own_server.process.send_signal(signal.SIGTERM)
            yield block

    first = ask(own_server.grpc, "affine", stopping(), attempts=1)
    assert isinstance(first.error, Unavailable), first.error
    assert 1000 - MOST_READ_AHEAD <= len(first.predictions) < 5000
    rest = ask(kan_serve().grpc, "affine", blocks[len(first.predictions) :])
    assert rest.error is None
    for block, values in zip(blocks, first.values + rest.values, strict=True):
        np.testing.assert_allclose(values, answer("affine", block), atol=1e-5)
    assert own_server.finish()[0] == 0


@both
@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGTERM, marks=pytest.mark.slow, id="stopped"), pytest.param(signal.SIGKILL, id="killed")],
)
def test_a_stream_goes_on_with_another_server(
    own_server: KanServe, kan_serve: Start, answer: Answer, ask: Ask, how: signal.Signals
) -> None:
    """One of two servers stops during the stream: every block is answered once, in order."""
    servers = [own_server, kan_serve()]
    blocks = blocks_of(900)

    def stopping() -> Iterator[Floats]:
        for number, block in enumerate(blocks):
            if number == 300:
                busy = max(servers, key=lambda one: codes(one.http, "affine")["OK"])
                busy.process.send_signal(how)
            yield block

    outcome = ask([one.grpc for one in servers], "affine", stopping())
    assert outcome.error is None
    for block, values in zip(blocks, outcome.values, strict=True):
        np.testing.assert_allclose(values, answer("affine", block), atol=1e-5)


@both
def test_a_server_that_is_gone_ends_a_stream(own_server: KanServe, ask: Ask) -> None:
    """If there is no other server, the error comes once and soon."""

    def stopping() -> Iterator[Floats]:
        yield from [ROWS] * 100
        own_server.process.send_signal(signal.SIGTERM)
        yield from itertools.repeat(ROWS)

    outcome = ask(own_server.grpc, "affine", stopping())
    assert isinstance(outcome.error, Unavailable)
    assert len(outcome.predictions) >= 100 - MOST_READ_AHEAD


@pytest.mark.slow
@both
def test_a_stream_outlives_its_connection(kan_serve: Start, write_model: WriteModel, ask: Ask) -> None:
    """A server that closes connections of some age fails no block."""
    write_model("affine")
    address = kan_serve("--max-connection-age-seconds", "0.2", "--max-connection-age-grace-seconds", "0.2").grpc
    until = time.monotonic() + 2

    def blocks() -> Iterator[Floats]:
        while time.monotonic() < until:
            yield ROWS

    outcome = ask(address, "affine", blocks())
    assert outcome.error is None
    assert len(outcome.predictions) > 0


@both
def test_a_new_version_takes_over_within_a_stream(kan_serve: Start, write_model: WriteModel, ask: Ask) -> None:
    """No block fails, and its labels are those of the version that answered it."""

    def other(manifest: manifest_pb2.ModelManifest) -> None:
        manifest.classes[:] = ["one", "two", "three"]

    write_model("classifier")
    address = kan_serve("--poll-seconds", "0.05", "--allow-incompatible", "classifier").grpc
    seen: list[int] = []

    def until_new() -> Iterator[Floats]:
        write_model("classifier", version=2, change=other)
        with Client(address, 60) as client:
            while client.predict("classifier", ROWS).version == 1:
                yield ROWS
        yield from [ROWS] * 100

    outcome = ask(address, "classifier", itertools.chain([ROWS] * 100, until_new()))
    assert outcome.error is None
    for prediction in outcome.predictions:
        seen.append(prediction.version)
        names = ["red", "green", "blue"] if prediction.version == 1 else ["one", "two", "three"]
        assert prediction.labels == tuple(names[place] for place in prediction.values.argmax(axis=1))
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}


def backwards(manifest: manifest_pb2.ModelManifest) -> None:
    """Take the columns in the other order."""
    columns, features = list(manifest.columns)[::-1], list(manifest.features)[::-1]
    del manifest.columns[:], manifest.features[:]
    manifest.columns.extend(columns)
    manifest.features.extend(features)


@pytest.mark.slow
@both
def test_rows_by_name_outlive_a_version_with_other_columns(
    kan_serve: Start, write_model: WriteModel, answer: Answer, ask: Ask
) -> None:
    """A block that was encoded for one version and answered by another is encoded and sent again."""
    write_model("affine")
    address = kan_serve("--poll-seconds", "0.05", "--allow-incompatible", "affine").grpc
    record = {f"x{place}": float(place) for place in range(4)}

    def until_new() -> Iterator[dict[str, float]]:
        write_model("affine", version=2, change=backwards)
        with Client(address, 60) as client:
            while client.predict("affine", record).version == 1:
                yield record
        yield from [record] * 100

    outcome = ask(address, "affine", itertools.chain([record] * 100, until_new()))
    assert outcome.error is None
    assert {prediction.version for prediction in outcome.predictions} == {1, 2}
    for prediction in outcome.predictions:
        values = [[0, 1, 2, 3]] if prediction.version == 1 else [[3, 2, 1, 0]]
        np.testing.assert_allclose(prediction.values, answer("affine", np.array(values, np.float32)), atol=1e-5)


@both
def test_numbers_in_the_order_of_columns_end_a_stream_where_that_changes(
    kan_serve: Start, write_model: WriteModel, ask: Ask
) -> None:
    """Rows in one version's order are never passed off as another's."""
    write_model("affine")
    address = kan_serve("--poll-seconds", "0.05", "--allow-incompatible", "affine").grpc

    def until_new() -> Iterator[Floats]:
        write_model("affine", version=2, change=backwards)
        while True:
            yield ROWS

    outcome = ask(address, "affine", until_new())
    assert {prediction.version for prediction in outcome.predictions} <= {1}
    assert type(outcome.error) is ClientError
    assert "version 2, which takes other columns" in str(outcome.error)


@pytest.mark.slow
def test_bulk_lets_others_go_first(gate: Gate, own_server: KanServe) -> None:
    """A few interactive rows are answered while many bulk rows, which arrived before them, still wait."""
    large = np.zeros((4096, 4), np.float32)
    with Client(own_server.grpc, 60) as client, ThreadPoolExecutor(4) as pool:
        for work in (
            lambda: [client.predict("slow", large, bulk=True)],
            lambda: list(client.predict_stream("slow", [large], bulk=True)),
        ):
            with gate.closed():
                bulk = [pool.submit(work) for _ in range(3)]  # one request of theirs runs, the others wait
                while not own_server.sample("kan_queue_rows"):
                    pass
                interactive = pool.submit(client.predict, "slow", ROWS)
                while own_server.sample("kan_queue_rows") % 2 == 0:  # those in bulk come in even numbers, five are not
                    pass
                gate.let(3)  # the run under way, and two more, of which one may be bulk's turn
                assert interactive.result().values.shape == (5, 1)
                assert not any(one.done() for one in bulk)
            for one in bulk:
                assert one.result()[0].values.shape == (4096, 1)


def test_closing_the_client_ends_its_streams(server: KanServe) -> None:
    """Both clients say so in one word, and the iterator is let go."""
    endless = Endless(1)
    client = Client(server.grpc, 60)
    stream = client.predict_stream("affine", endless.blocks())
    next(stream)
    client.close()
    with pytest.raises(ClientError) as blocking:
        list(stream)
    assert blocking.value.code is grpc.StatusCode.CANCELLED
    del stream, blocking
    assert let_go(endless.gone)

    async def ask() -> None:
        async with AsyncClient(server.grpc, 60) as client:
            stream = client.predict_stream("affine", Endless(1).blocks())
            await anext(stream)
        with pytest.raises(ClientError) as asynchronous:
            async for _ in stream:
                pass
        assert asynchronous.value.code is grpc.StatusCode.CANCELLED

    asyncio.run(ask())


class Liar(grpc.GenericRpcHandler):
    """A server that knows a model and answers streams with prepared messages."""

    def __init__(self, answers: list[prediction_pb2.PredictStreamResponse]) -> None:
        self._answers = answers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        if handler_call_details.method.endswith("GetModel"):
            manifest = manifest_pb2.ModelManifest(name="affine", version=1)
            answer = prediction_pb2.GetModelResponse(manifest=manifest).SerializeToString()
            return grpc.unary_unary_rpc_method_handler(lambda *_: answer)
        return grpc.stream_stream_rpc_method_handler(self._stream)

    def _stream(self, requests: Iterable[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            pass
        for answer in self._answers:
            yield answer.SerializeToString()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([], "without answers to 2 blocks"),
        ([{"id": "7"}], "block '7', which was not sent"),
        ([{"id": ""}], "to block ''"),
        ([{"id": "1"}, {"id": "1"}], "block '1', which was not sent"),
        ([{"id": "0", "failure": {"code": 99, "message": "odd"}}], "UNKNOWN: block 0: odd"),
        ([{"id": "0"}], "failed with UNKNOWN: block 0"),
        ([{"id": "0", "prediction": {"version": 1}}], "was sent 5 rows"),
    ],
)
@both
def test_a_server_that_answers_strangely_is_told_apart(answers: list[Any], message: str, ask: Ask) -> None:
    """No block is ever left without an answer in silence, nor given another's."""
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        server.add_generic_rpc_handlers([Liar([prediction_pb2.PredictStreamResponse(**one) for one in answers])])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            outcome = ask(f"127.0.0.1:{port}", "affine", [ROWS, ROWS])
        finally:
            server.stop(None).wait()
    assert type(outcome.error) is ClientError
    assert message in str(outcome.error)
    assert outcome.predictions == []

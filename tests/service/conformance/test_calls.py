"""Unary calls: answers, codes, messages, compression, deadlines, cancellation."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from kan_api.v1 import prediction_pb2 as pb
from open_inference import grpc_predict_v2_pb2 as oip
from service.registry.model.onnx_runtime import onnxruntime
from tests.kit.callers import http2
from tests.kit.callers.calls import failure_of, matrix, predict
from tests.kit.callers.protocols import KanApi
from tests.kit.models.graphs import Answer
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, Start, serving
from tests.kit.waiting import until_elsewhere

_PREDICTION = "/kan_api.v1.PredictionService/"
_INFERENCE = "/inference.GRPCInferenceService/"
_ROWS = np.array([[0.5, -1, 2, 0], [1, 1, 1, 1], [-3, 0.25, 0, 8]], np.float32)


@pytest.fixture(scope="module")
def shared_gate(module_gate: Gate) -> Gate:
    """Of the slow model of the server that tests share."""
    return module_gate


@pytest.fixture(scope="module")
def server(frontend: str, shared_gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine, classifier (version 3) and slow, messages up to 1 MiB; tests share it and its counters."""
    folder = tmp_path_factory.mktemp("shared")
    write_version(folder / "models", "affine")
    write_version(folder / "models", "classifier", 3)
    write_version(folder / "models", "slow")
    flags = ("--frontend", frontend, "--max-message-bytes", str(2**20))
    with serving(folder / "models", *flags, log=folder / "log") as started:
        yield started


@pytest.fixture
def unfinished(server: KanServe) -> Iterator[None]:
    """A call whose message never comes whole: the server waits for it all the while."""
    with http2.connect(server.grpc) as connection:
        part = http2.frame(http2.DATA, 0, 1, b"\0\0\0\0\xff")
        connection.sendall(http2.hello() + http2.call(KanApi.path, 1) + part)
        assert connection.recv(2**16)  # the server's settings
        yield


def test_every_service_answers(server: KanServe, answer: Answer) -> None:
    """Both protocols give numpy's numbers; health, reflection and the lists of models are there."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:

            async def ask(path: str, request: Any, response: Any) -> Any:
                method: Any = channel.unary_unary(path, type(request).SerializeToString, response.FromString)
                return await method(request, timeout=60)

            request = pb.PredictRequest(model="classifier", features=matrix(_ROWS), id="a7")
            predicted = await ask(_PREDICTION + "Predict", request, pb.PredictResponse)
            assert (predicted.id, predicted.model, predicted.version) == ("a7", "classifier", 3)
            values = np.frombuffer(predicted.outputs[0].values.raw, "<f4").reshape(3, 3)
            np.testing.assert_allclose(values, answer("classifier", _ROWS), rtol=1e-5)
            infer = oip.ModelInferRequest(
                model_name="classifier",
                inputs=[{"name": "x", "datatype": "FP32", "shape": _ROWS.shape}],
                raw_input_contents=[_ROWS.tobytes()],
            )
            inferred = await ask(_INFERENCE + "ModelInfer", infer, oip.ModelInferResponse)
            assert inferred.raw_output_contents[0] == predicted.outputs[0].values.raw
            listed = await ask(_PREDICTION + "ListModels", pb.ListModelsRequest(), pb.ListModelsResponse)
            assert [model.name for model in listed.models] == ["affine", "classifier", "slow"]
            live = await ask(_INFERENCE + "ServerLive", oip.ServerLiveRequest(), oip.ServerLiveResponse)
            assert live.live
            health = await ask(
                "/grpc.health.v1.Health/Check",
                health_pb2.HealthCheckRequest(service="classifier"),
                health_pb2.HealthCheckResponse,
            )
            assert health.status == health_pb2.HealthCheckResponse.SERVING
            reflect: Any = channel.stream_stream(
                "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                reflection_pb2.ServerReflectionRequest.SerializeToString,
                reflection_pb2.ServerReflectionResponse.FromString,
            )
            questions = [reflection_pb2.ServerReflectionRequest(list_services="")]
            answers = [one async for one in reflect(questions, timeout=60)]
            assert {service.name for service in answers[0].list_services_response.service} == {
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
                "inference.GRPCInferenceService",
                "kan_api.v1.PredictionService",
            }

    asyncio.run(check())


_NAMED = ("ModelReady", "ModelMetadata", "ModelConfig")


def _missing(field: str) -> str:
    """The message for a request without the name of a model."""
    return f"{field} is missing or empty; wanted the name of a model (in JSON a misspelt key counts as missing)"


_LONG_NAME = "naïve\n100 %" * 20_000
_MISTAKES: list[tuple[str, bytes, str, str]] = [
    (_PREDICTION + "Predict", b"\xff\xff", "INVALID_ARGUMENT", "2 bytes"),
    *((_PREDICTION + each, b"", "INVALID_ARGUMENT", _missing("model")) for each in ("Predict", "Explain", "GetModel")),
    (_INFERENCE + "ModelInfer", b"", "INVALID_ARGUMENT", _missing("model_name")),
    *((_INFERENCE + each, b"", "INVALID_ARGUMENT", _missing("name")) for each in _NAMED),
    (_PREDICTION + "Predict", pb.PredictRequest(model=_LONG_NAME).SerializeToString(), "NOT_FOUND", r"naïve\n100 %"),
    (
        _PREDICTION + "Predict",
        pb.PredictRequest(model="affine", features=matrix(_ROWS[:, :3])).SerializeToString(),
        "INVALID_ARGUMENT",
        "3 columns",
    ),
    (_PREDICTION + "Nothing", b"", "UNIMPLEMENTED", ""),
    ("/no.Such/Method", b"", "UNIMPLEMENTED", ""),
    (_INFERENCE + "TraceSetting", b"", "UNIMPLEMENTED", "traces"),
    (_PREDICTION + "Predict", bytes(2**20 + 1), "RESOURCE_EXHAUSTED", "1048577"),
]


def test_what_does_not_fit_gets_its_status(server: KanServe) -> None:
    """Each error has its status and says what was wanted, in any script. The server answers after each."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            for path, request, code, message in _MISTAKES:
                method: Any = channel.unary_unary(path)
                told = await failure_of(method(request, timeout=60))
                assert told[0] == code, (path, told)
                assert message in told[1]
                assert (await predict(channel, "affine")).version == 1

    asyncio.run(check())


def test_big_messages_pass(start: Start, write_model: WriteModel, answer: Answer) -> None:
    """A request and an answer of some megabytes arrive whole."""
    write_model("affine")
    server = start("--max-request-rows", "800000", "--max-queue-rows", "800000")
    rows = np.random.default_rng(0).uniform(-1, 1, (800_000, 4)).astype(np.float32)

    async def check() -> None:
        options = [("grpc.max_receive_message_length", 2**24)]
        async with grpc.aio.insecure_channel(server.grpc, options) as channel:
            method: Any = channel.unary_unary(_PREDICTION + "Predict", None, pb.PredictResponse.FromString)
            request = pb.PredictRequest(model="affine", features=matrix(rows)).SerializeToString()
            response = await method(request, timeout=60)
            values = np.frombuffer(response.outputs[0].values.raw, "<f4").reshape(-1, 1)
            np.testing.assert_allclose(values, answer("affine", rows), rtol=1e-5, atol=1e-6)

    asyncio.run(check())


_COMPRESSIONS = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}
_IDENTITY_ALONE = [("grpc.compression_enabled_algorithms_bitset", 1)]


def _compression(wire: bytearray, plain_bytes: int) -> str:
    """By how many bytes passed, and by the two with which gzip and zlib begin."""
    if len(wire) > plain_bytes:
        return "none"
    return next(name for name, begin in (("gzip", b"\x1f\x8b"), ("deflate", b"\x78\x9c")) if begin in wire)


@pytest.mark.parametrize(("compression", "sent"), [("none", "gzip"), ("gzip", "deflate"), ("deflate", "gzip")])
def test_compression_both_ways(
    start: Start, write_model: WriteModel, answer: Answer, compression: str, sent: str
) -> None:
    """Compressed requests are read. Answers are compressed if the setting says so and the caller accepts it.

    The request is 64 KiB of zeros and the answer 16 KiB of one repeated number; both shrink to a few hundred bytes.
    """
    write_model("affine")
    server = start("--compression", compression)
    rows = np.zeros((4096, 4), np.float32)
    request = pb.PredictRequest(model="affine", features=matrix(rows)).SerializeToString()

    async def passed(kind: grpc.Compression, options: list[tuple[str, int]]) -> tuple[str, str]:
        """How the request and the answer went over the wire."""
        async with relay(server.grpc) as (address, wire), grpc.aio.insecure_channel(address, options) as channel:
            method: Any = channel.unary_unary(_PREDICTION + "Predict", None, pb.PredictResponse.FromString)
            response = await method(request, timeout=60, compression=kind)
            values = np.frombuffer(response.outputs[0].values.raw, "<f4").reshape(-1, 1)
            np.testing.assert_allclose(values, answer("affine", rows), rtol=1e-6)
            return _compression(wire["to server"], rows.nbytes), _compression(wire["to caller"], values.nbytes)

    async def check() -> None:
        assert await passed(_COMPRESSIONS[sent], []) == (sent, compression)
        assert await passed(grpc.Compression.NoCompression, []) == ("none", compression)
        assert await passed(grpc.Compression.NoCompression, _IDENTITY_ALONE) == ("none", "none")

    asyncio.run(check())


@asynccontextmanager
async def relay(address: str) -> AsyncIterator[tuple[str, dict[str, bytearray]]]:
    """Passes bytes on to an address and back, and keeps them; gives the address to call, and the bytes of each way."""
    wire = {"to server": bytearray(), "to caller": bytearray()}
    connections: list[asyncio.Task[None]] = []

    async def carry(way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(ConnectionError):
            while piece := await reader.read(2**16):
                wire[way] += piece
                writer.write(piece)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = address.rsplit(":", 1)
        server = await asyncio.open_connection(host, int(port))
        connections.append(asyncio.ensure_future(carry("to server", reader, server[1])))
        connections.append(asyncio.ensure_future(carry("to caller", server[0], writer)))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}", wire
        await asyncio.gather(*connections)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA may work here")
def test_metrics_say_where_a_model_really_runs(start: Start, write_model: WriteModel) -> None:
    """On the CPU, although CUDA was asked for; nothing claims CUDA."""
    write_model("affine")
    server = start("--provider", "cuda", "--allow-fallback")
    assert server.sample("kan_model_info", model="affine", version="1", provider="cpu") == 1
    for name in ("kan_model_info", "kan_build_info"):
        assert server.sample(name, provider="cuda") == 0
    assert server.sample("kan_build_info") == 1


def _arrived(server: KanServe) -> float:
    """How many requests to slow came so far."""
    return server.sample("kan_request_rows_count", model="slow")


def _rejected(server: KanServe, *reasons: str) -> float:
    """How many of them were rejected for one of these reasons."""
    return sum(server.sample("kan_rejected_total", model="slow", reason=reason) for reason in reasons)


@pytest.mark.usefixtures("unfinished")
def test_a_deadline_ends_a_call_that_waits(shared_gate: Gate, server: KanServe) -> None:
    """The caller gets DEADLINE_EXCEEDED, its rows are not run, and its neighbours are answered."""
    arrived, rows = _arrived(server), server.sample("kan_batch_rows_sum", model="slow")
    rejected = _rejected(server, "deadline", "cancelled")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with shared_gate.closed():
                busy = [asyncio.ensure_future(predict(channel, "slow", 512)) for _ in range(4)]
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") == 3 * 512)
                seconds = 1.0
                while _arrived(server) == arrived + 4:  # until one is in time to arrive
                    seconds *= 2
                    assert (await failure_of(predict(channel, "slow", 64, seconds=seconds)))[0] == "DEADLINE_EXCEEDED"
            for answered in await asyncio.gather(*busy):
                assert answered.outputs[0].values.rows == 512
            assert server.sample("kan_batch_rows_sum", model="slow") == rows + 4 * 512
            await until_elsewhere(lambda: _rejected(server, "deadline", "cancelled") == rejected + 1)

    asyncio.run(check())


@pytest.mark.usefixtures("unfinished")
def test_a_caller_who_leaves_is_dropped(shared_gate: Gate, server: KanServe) -> None:
    """The rows of cancelled calls leave the queue without a run. Other calls are answered."""
    arrived, cancelled = _arrived(server), _rejected(server, "cancelled")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with shared_gate.closed():
                busy = asyncio.ensure_future(predict(channel, "slow", 4096))
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") > 0)
                leaving = [asyncio.ensure_future(predict(channel, "slow", 32)) for _ in range(8)]
                staying = [asyncio.ensure_future(predict(channel, "slow", 32)) for _ in range(8)]
                await until_elsewhere(lambda: _arrived(server) == arrived + 17)
                for call in leaving:
                    call.cancel()
                await until_elsewhere(lambda: _rejected(server, "cancelled") == cancelled + 8)
            assert [one.outputs[0].values.rows for one in await asyncio.gather(busy, *staying)] == [4096, *[32] * 8]

    asyncio.run(check())


@pytest.mark.slow
def test_who_is_shed_is_told_when_to_come_again(gate: Gate, start: Start, write_model: WriteModel) -> None:
    """A full queue answers RESOURCE_EXHAUSTED with a pause in the trailers that gRPC's retries know."""
    write_model("slow")
    server = start("--max-queue-rows", "512", "--max-request-rows", "512")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            await predict(channel, "slow", 64)  # so that it knows how long a row takes
            with gate.closed():
                runs = asyncio.ensure_future(predict(channel, "slow", 512))
                await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="slow") == 2)
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") == 0)
                calls = [asyncio.ensure_future(predict(channel, "slow", 512)) for _ in range(8)]
                await until_elsewhere(lambda: sum(call.done() for call in calls) == 7)
            assert (await runs).outputs[0].values.rows == 512
            ended = await asyncio.gather(*calls, return_exceptions=True)
            shed = [error for error in ended if isinstance(error, grpc.aio.AioRpcError)]
            assert len(shed) == 7
            for error in shed:
                assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            pauses = [int(dict(error.trailing_metadata() or ()).get("grpc-retry-pushback-ms", 0)) for error in shed]
            assert max(pauses) >= 1

    asyncio.run(check())


@pytest.mark.slow
def test_bulk_waits_for_interactive(gate: Gate, start: Start, write_model: WriteModel) -> None:
    """Interactive requests that arrive after many bulk ones are answered before most of them. No request is lost."""
    write_model("slow")
    server = start("--max-batch-rows", "64")
    ended: list[str] = []

    async def ask(channel: grpc.aio.Channel, kind: str) -> None:
        await predict(channel, "slow", 64, priority=pb.PRIORITY_BULK if kind == "bulk" else pb.PRIORITY_UNSPECIFIED)
        ended.append(kind)

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            with gate.closed():
                bulk = [asyncio.create_task(ask(channel, "bulk")) for _ in range(48)]
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") == 47 * 64)
                interactive = [asyncio.create_task(ask(channel, "interactive")) for _ in range(6)]
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") == 53 * 64)
                # The run under way, and eight more: every fourth is bulk's.
                gate.let(9)
                await asyncio.gather(*interactive)
                assert ended.count("bulk") <= 3
            await asyncio.gather(*bulk)
        assert ended.count("bulk") == 48

    asyncio.run(check())

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tests.kit.models.repository import WriteModel
from tests.kit.server.kan_serve import Serving, stop_here

_SERVING, _NOT_SERVING = pb.HealthCheckResponse.SERVING, pb.HealthCheckResponse.NOT_SERVING
_NAMES = ("", "kan_api.v1.PredictionService", "inference.GRPCInferenceService", "grpc.health.v1.Health", "affine")


def _stub(channel: grpc.aio.Channel) -> Any:
    """The health stub that grpcio-health-checking brings: a client that is not ours."""
    stub: Callable[[Any], Any] = HealthStub
    return stub(channel)


def test_check_knows_server_services_and_models(serving: Serving, write_model: WriteModel) -> None:
    """SERVING for the server, its services and each model; NOT_FOUND for other names; NOT_SERVING once draining."""
    write_model("affine")

    async def check() -> None:
        async with serving() as (server, channel):
            stub = _stub(channel)
            for name in _NAMES:
                assert (await stub.Check(pb.HealthCheckRequest(service=name), timeout=60)).status == _SERVING
            with pytest.raises(grpc.aio.AioRpcError, match="absent") as caught:
                await stub.Check(pb.HealthCheckRequest(service="absent"), timeout=60)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            await server.registry.drain()
            for name in _NAMES:
                assert (await stub.Check(pb.HealthCheckRequest(service=name), timeout=60)).status == _NOT_SERVING

    asyncio.run(check())


def test_liveness_follows_no_model(serving: Serving) -> None:
    """SERVING with an empty repository and while the server drains: a restart would help neither."""

    async def check() -> None:
        async with serving() as (server, channel):
            stub = _stub(channel)
            request = pb.HealthCheckRequest(service="liveness")
            assert (await stub.Check(pb.HealthCheckRequest(), timeout=60)).status == _NOT_SERVING
            assert (await stub.Check(request, timeout=60)).status == _SERVING
            await server.registry.drain()
            assert (await stub.Check(request, timeout=60)).status == _SERVING

    asyncio.run(check())


def test_a_refused_model_does_not_serve(serving: Serving, write_model: WriteModel) -> None:
    """A model without a version that answers is NOT_SERVING; the server serves the others."""
    (write_model("affine") / "model.onnx").write_bytes(b"broken")
    write_model("classifier")

    async def check() -> None:
        async with serving() as (_, channel):
            states = [
                (await _stub(channel).Check(pb.HealthCheckRequest(service=name), timeout=60)).status
                for name in ("affine", "classifier", "")
            ]
            assert states == [_NOT_SERVING, _SERVING, _SERVING]

    asyncio.run(check())


def test_watch_tells_changes_and_ends_with_the_server(serving: Serving, write_model: WriteModel) -> None:
    """A watcher sees SERVING, NOT_SERVING at the stop, and the stream's end; an unknown name is SERVICE_UNKNOWN."""
    write_model("affine")

    async def check() -> None:
        async with serving() as (server, channel):
            watch = _stub(channel).Watch(pb.HealthCheckRequest(service="affine"), timeout=60)
            unknown = _stub(channel).Watch(pb.HealthCheckRequest(service="absent"), timeout=60)
            assert (await watch.read()).status == _SERVING
            assert (await unknown.read()).status == pb.HealthCheckResponse.SERVICE_UNKNOWN
            stop = asyncio.create_task(stop_here(server, grace_seconds=60))
            assert (await watch.read()).status == _NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
            await stop

    asyncio.run(check())


def test_watchers_learn_of_what_nobody_reports(serving: Serving, write_model: WriteModel) -> None:
    """A model that breaks, and one that is there after a scan: all watchers of the two names are told, and no other."""
    write_model("affine")
    write_model("slow")

    async def check() -> None:
        async with serving(poll_seconds=0) as (server, channel):

            def watch(name: str) -> Any:
                return _stub(channel).Watch(pb.HealthCheckRequest(service=name), timeout=60)

            slow, late, affine = (
                [watch("slow") for _ in range(3)],
                [watch("classifier") for _ in range(3)],
                watch("affine"),
            )
            first = [(await each.read()).status for each in (*slow, *late, affine)]
            assert first == [_SERVING] * 3 + [pb.HealthCheckResponse.SERVICE_UNKNOWN] * 3 + [_SERVING]
            with server.registry.lease("slow") as model:
                model._executor.shutdown()
                with pytest.raises(Exception, match="shutdown"):
                    await model.batcher.submit(np.zeros((1, 4), np.float32))
            write_model("classifier")
            await server.registry.refresh()
            assert [(await each.read()).status for each in (*slow, *late)] == [_NOT_SERVING] * 3 + [_SERVING] * 3
            stop = asyncio.create_task(stop_here(server, grace_seconds=60))
            assert (await affine.read()).status == _NOT_SERVING
            await stop

    asyncio.run(check())


def test_a_watcher_may_leave(serving: Serving, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled watch is counted as cancelled and delays no stop."""
    monkeypatch.setattr("service.process.server_parts.LONGEST_READ_SECONDS", 600.0)
    write_model("affine")

    async def check() -> None:
        async with serving() as (server, channel):
            watch = _stub(channel).Watch(pb.HealthCheckRequest(), timeout=60)
            assert (await watch.read()).status == _SERVING
            watch.cancel()
            labels = {"model": "", "version": "", "protocol": "health", "code": "CANCELLED"}
            async with asyncio.timeout(60):
                # The cancellation goes over the wire; a stop before it is there would end the watch as OK.
                while server.metrics.registry.get_sample_value("kan_requests_total", labels) != 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(60):
                await stop_here(server, grace_seconds=600)

    asyncio.run(check())


def test_reflection_lists_services_and_their_files(serving: Serving) -> None:
    """A client without .proto files finds every service, and the messages of ours."""

    async def check() -> None:
        async with serving() as (_, channel):
            stub_type: Callable[[Any], Any] = ServerReflectionStub
            asked = [
                reflection_pb2.ServerReflectionRequest(list_services=""),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol="kan_api.v1.PredictionService"),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol="inference.GRPCInferenceService"),
            ]
            answers = [one async for one in stub_type(channel).ServerReflectionInfo(iter(asked), timeout=60)]
            assert [service.name for service in answers[0].list_services_response.service] == [
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
                "inference.GRPCInferenceService",
                "kan_api.v1.PredictionService",
            ]
            assert all(one.file_descriptor_response.file_descriptor_proto for one in answers[1:])

    asyncio.run(check())

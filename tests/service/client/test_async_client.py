"""The client for asyncio against a kan-serve in a process of its own."""

import asyncio
import inspect
import socket
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from service.client import AsyncClient, Client, ClientError, Health
from tests.kit.models.repository import write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, serving
from tests.kit.server.metrics import codes
from tests.kit.server.programs import free_ports

Floats = NDArray[np.float32]
Answer = Callable[[str, Floats], Floats]

ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
RECORDS = [{f"x{place}": float(value) for place, value in enumerate(row)} for row in ROWS]


@pytest.fixture(scope="module")
def gate(module_gate: Gate) -> Gate:
    """Of the server that the tests share."""
    return module_gate


@pytest.fixture(scope="module")
def server(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of affine (version 2), classifier and slow, which the gate holds; the tests share it."""
    folder = tmp_path_factory.mktemp("shared")
    write_version(folder / "models", "affine", version=2)
    write_version(folder / "models", "classifier")
    write_version(folder / "models", "slow")
    with serving(folder / "models", log=folder / "log") as started:
        yield started


def test_both_clients_have_the_same_methods() -> None:
    """With the same arguments and the same results; a stream is of the client's own kind, in and out."""

    def signatures(kind: type) -> dict[str, inspect.Signature]:
        members = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(member) for name, member in members if not name.startswith("_")}

    blocking, asynchronous = signatures(Client), signatures(AsyncClient)
    del blocking["close"]
    streams = [one.pop("predict_stream") for one in (blocking, asynchronous)]
    assert asynchronous == blocking
    names, others = ([(one.name, one.kind, one.default) for one in stream.parameters.values()] for stream in streams)
    assert names == others
    assert inspect.signature(AsyncClient) == inspect.signature(Client)


def test_both_clients_answer_the_same(server: KanServe, answer: Answer) -> None:
    """Numbers, rows by name, more rows than one request holds, labels, lists, manifests and health."""
    many = np.random.default_rng(1).normal(size=(10_000, 4)).astype(np.float32)

    async def ask() -> list[Any]:
        async with AsyncClient(server.grpc) as client:
            return [
                await client.predict("classifier", ROWS),
                await client.predict("affine", RECORDS, version=2),
                await client.predict("affine", many, timeout_seconds=60),
                await client.models(),
                await client.manifest("classifier"),
                await client.health("affine"),
            ]

    classes, values, all_values, models, manifest, health = asyncio.run(ask())
    np.testing.assert_allclose(classes.values, answer("classifier", ROWS), atol=1e-6)
    np.testing.assert_allclose(values.values, answer("affine", ROWS), atol=1e-5)
    np.testing.assert_allclose(all_values.values, answer("affine", many), atol=1e-4)
    assert health is Health.SERVING
    with Client(server.grpc) as client:
        assert classes.labels == client.predict("classifier", ROWS).labels
        assert (values.model, values.version) == ("affine", 2)
        assert models == client.models()
        assert manifest == client.manifest("classifier")


def test_both_clients_fail_the_same(gate: Gate, server: KanServe) -> None:
    """The same class, the same status, the same words."""
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    cases: list[tuple[str, Callable[[Any], Any]]] = [
        (server.grpc, lambda client: client.predict("nope", ROWS)),
        (server.grpc, lambda client: client.predict("affine", ROWS, version=9)),
        (server.grpc, lambda client: client.predict("affine", ROWS[:, :3])),
        (server.grpc, lambda client: client.predict("affine", [{"x0": 1.0}])),
        (server.grpc, lambda client: client.predict("affine", [])),
        (server.grpc, lambda client: client.predict("slow", ROWS, timeout_seconds=0.05)),
        (server.grpc, lambda client: client.health("nope")),
        (server.grpc, lambda client: client.models(timeout_seconds=0)),
        (nobody, lambda client: client.models()),
    ]

    async def failure(address: str, call: Callable[[Any], Any]) -> Exception:
        async with AsyncClient(address, max_attempts=1) as client:
            with pytest.raises((ClientError, ValueError)) as failed:
                await call(client)
        return failed.value

    for address, call in cases:
        with gate.closed():
            with Client(address, max_attempts=1) as client, pytest.raises((ClientError, ValueError)) as failed:
                call(client)
            other = asyncio.run(failure(address, call))
        assert (type(other), str(other)) == (type(failed.value), str(failed.value))
        assert getattr(other, "code", None) is getattr(failed.value, "code", None)


def test_hundreds_of_calls_at_once(server: KanServe, answer: Answer) -> None:
    """Every task gets the answers to its own rows."""
    asked = [np.random.default_rng(seed).normal(size=(1 + seed % 5, 4)).astype(np.float32) for seed in range(500)]

    async def ask() -> list[Floats]:
        async with AsyncClient(server.grpc) as client:
            return [got.values for got in await asyncio.gather(*(client.predict("affine", rows) for rows in asked))]

    for rows, got in zip(asked, asyncio.run(ask()), strict=True):
        np.testing.assert_allclose(got, answer("affine", rows), atol=1e-5)


def test_a_cancelled_task_cancels_its_call_alone(gate: Gate, server: KanServe, answer: Answer) -> None:
    """The server drops its call, other calls are answered, and the client still works."""
    before, cancelled = _arrivals(server), codes(server.metrics, "slow")["CANCELLED"]

    async def ask() -> Floats:
        async with AsyncClient(server.grpc, timeout_seconds=60) as client:
            await client.manifest("slow", 1)
            with gate.closed():
                crowd = [asyncio.create_task(client.predict("slow", np.zeros((4096, 4)))) for _ in range(3)]
                while await asyncio.to_thread(_arrivals, server) < before + len(crowd):
                    pass
                neighbours = [asyncio.create_task(client.predict("affine", ROWS)) for _ in range(10)]
                for one in crowd:
                    one.cancel()
                for one in crowd:
                    with pytest.raises(asyncio.CancelledError):
                        await one
                answers = await asyncio.gather(*neighbours)
                while (await asyncio.to_thread(codes, server.metrics, "slow"))["CANCELLED"] == cancelled:
                    pass
            assert (await client.predict("slow", ROWS)).values.shape == (5, 1)
            return np.concatenate([got.values for got in answers])

    np.testing.assert_allclose(asyncio.run(ask()), np.tile(answer("affine", ROWS), (10, 1)), atol=1e-5)


def _arrivals(server: KanServe) -> float:
    """How many requests to slow the server has had so far."""
    return server.sample("kan_request_rows_count", model="slow")


def test_a_timeout_of_the_caller_is_the_callers() -> None:
    """A timeout of asyncio that cancels a call raises asyncio's own error."""

    async def ask() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with AsyncClient(f"127.0.0.1:{listener.getsockname()[1]}") as client:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await client.models()

    asyncio.run(ask())


def test_closing_ends_calls_in_flight() -> None:
    """They fail with an error, and the tasks that made them are not cancelled."""

    async def ask() -> list[Any]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with AsyncClient(f"127.0.0.1:{listener.getsockname()[1]}") as client:
                calls = [asyncio.create_task(client.models()) for _ in range(20)]
                caller, _ = await asyncio.to_thread(listener.accept)
            caller.close()
            return await asyncio.gather(*calls, return_exceptions=True)

    failures = asyncio.run(ask())
    assert {type(failure) for failure in failures} == {ClientError}
    assert {failure.code for failure in failures} == {grpc.StatusCode.CANCELLED}


def test_a_client_is_used_inside_its_block() -> None:
    """It may be created without a running event loop. Before and after its block it raises an error with advice."""
    client = AsyncClient("127.0.0.1:1")

    async def ask() -> None:
        with pytest.raises(ValueError, match="async with"):
            await client.models()
        async with client:
            with pytest.raises(ValueError, match="already"):
                await client.__aenter__()
        with pytest.raises(ValueError, match="async with"):
            await client.models()

    asyncio.run(ask())

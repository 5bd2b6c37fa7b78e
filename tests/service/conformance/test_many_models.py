"""More models than fit into memory, as their callers and their operator see them behind either front end."""

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers.calls import ask, ask_inference, failure_of, infer, predict
from tests.kit.callers.protocols import KanApi
from tests.kit.models.repository import write_version
from tests.kit.server.kan_serve import KanServe, Start, run_kan_serve, serving
from tests.kit.waiting import until_elsewhere, wait_for

_BOUND, _COUNT = 3, 12
_NAMES = [f"m{number:02}" for number in range(_COUNT)]
_SETTINGS = f"""
[server]
max_loaded_models = {_BOUND}
allow_load = true
poll_seconds = 0.2

[models.m00]
pinned = true
"""


@pytest.fixture(scope="module")
def server(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve of twelve models that holds three of them in memory, one of which is pinned; the tests share it."""
    folder = tmp_path_factory.mktemp("many")
    for name in _NAMES:
        write_version(folder / "models", "affine", name=name)
    (folder / "kan-serve.toml").write_text(_SETTINGS)
    flags = ("--frontend", frontend, "--config", str(folder / "kan-serve.toml"))
    with serving(folder / "models", *flags, log=folder / "log") as started:
        yield started


def _in_memory(server: KanServe) -> float:
    return server.sample("kan_model_info")


def test_each_of_many_models_answers_every_call(server: KanServe) -> None:
    """Callers of all models at once, in both protocols: no call fails, and no more models than allowed stay."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            rows = np.ones((1, 4), np.float32)

            async def call(name: str) -> None:
                for _ in range(3):
                    assert (await predict(channel, name, rows)).version == 1
                    assert (await infer(channel, name, rows)).model_name == name

            await asyncio.gather(*map(call, _NAMES))

    asyncio.run(check())
    wait_for(lambda: _in_memory(server) <= _BOUND, "models to be let go")
    assert server.sample("kan_model_ready") == _COUNT
    assert server.sample("kan_model_info", model="m00") == 1


def test_a_cold_model_counts_as_ready_everywhere(server: KanServe) -> None:
    """In lists, in health and in the metrics: nobody is told that a model is away which the next call brings back."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            for name in _NAMES:
                await predict(channel, name)
            listed = (await ask(channel, "ListModels")).models
            assert [(one.name, one.state, one.latest) for one in listed] == [
                (name, pb.MODEL_STATE_READY, True) for name in _NAMES
            ]
            cold = next(one.name for one in listed if one.reason)
            assert "the next call loads it" in next(one.reason for one in listed if one.name == cold)
            index = (await ask_inference(channel, "RepositoryIndex", ready=True)).models
            assert [(one.name, one.state) for one in index] == [(name, "READY") for name in _NAMES]
            assert (await ask_inference(channel, "ModelReady", name=cold)).ready
            health: Any = HealthStub(channel)
            for name in ("", cold):
                answer = await health.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            assert not (await ask_inference(channel, "ModelStatistics", name=cold)).model_stats
            assert cold not in {one.name for one in (await ask_inference(channel, "ModelStatistics")).model_stats}
            assert server.sample("kan_model_info", model=cold) == 0  # so far nothing has loaded it
            assert server.sample("kan_model_ready", model=cold) == 1
            assert (await ask(channel, "GetModel", model=cold)).manifest.name == cold
            assert list((await ask_inference(channel, "ModelMetadata", name=cold)).versions) == ["1"]

    asyncio.run(check())
    assert server.is_ready()
    assert server.served == ",".join(f"{name}/1" for name in _NAMES)


def test_a_load_by_name_brings_a_model_into_memory(server: KanServe) -> None:
    """RepositoryModelLoad returns once the model is loaded; after an unload it is unknown until the next load."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            await ask_inference(channel, "RepositoryModelLoad", model_name="m07")
            assert server.sample("kan_model_info", model="m07") == 1
            await ask_inference(channel, "RepositoryModelUnload", model_name="m07")
            assert (await failure_of(predict(channel, "m07")))[0] == "NOT_FOUND"
            await ask_inference(channel, "RepositoryModelLoad", model_name="m07")
            assert (await predict(channel, "m07")).version == 1

    asyncio.run(check())


def test_questions_about_a_model_do_not_keep_it_in_memory(server: KanServe) -> None:
    """Health, readiness and statistics are asked all the time, also of models that nobody calls."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            health: Any = HealthStub(channel)
            for name in ("m01", "m02"):
                await predict(channel, name)
            await health.Check(health_pb2.HealthCheckRequest(service="m01"), timeout=60)
            assert (await ask_inference(channel, "ModelReady", name="m01")).ready
            assert (await ask_inference(channel, "ModelStatistics", name="m01")).model_stats
            assert (await ask_inference(channel, "ModelStatistics")).model_stats
            await predict(channel, "m03")

    asyncio.run(check())
    wait_for(lambda: server.sample("kan_model_info", model="m01") == 0, "the model called longest ago to be let go")
    assert server.sample("kan_model_info", model="m02") == 1


def test_an_open_stream_holds_no_model(server: KanServe) -> None:
    """Between two messages its model may be let go. The next message has it loaded again."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            method: Any = channel.stream_stream(KanApi.stream_path, None, pb.PredictStreamResponse.FromString)
            stream = method(timeout=60)
            for _ in range(2):
                await stream.write(KanApi.request("m04", np.ones((1, 4), np.float32), "one"))
                assert (await stream.read()).prediction.version == 1
                for name in ("m05", "m06"):
                    await predict(channel, name)
                await until_elsewhere(lambda: server.sample("kan_model_info", model="m04") == 0)
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF

    asyncio.run(check())


def test_pinned_models_that_fill_the_bound(start: Start, models: Path, tmp_path: Path) -> None:
    """A call to another model is RESOURCE_EXHAUSTED at once and says what to do; the pinned model answers."""
    for name in ("pinned", "other"):
        write_version(models, "affine", name=name)
    (tmp_path / "kan-serve.toml").write_text("[models.pinned]\npinned = true\n")
    server = start("--config", str(tmp_path / "kan-serve.toml"), "--max-loaded-models", "1")

    async def check() -> None:
        async with server.channel() as channel:
            began = time.monotonic()
            code, told = await failure_of(predict(channel, "other", seconds=30))
            assert (code, "pinned models leave no room" in told) == ("RESOURCE_EXHAUSTED", True)
            assert time.monotonic() - began < 20
            assert (await predict(channel, "pinned")).version == 1

    asyncio.run(check())


def test_a_bound_on_bytes(start: Start, models: Path) -> None:
    """A model that is larger is refused, with its size; with room for two and a half, two of four stay in memory."""
    names = _NAMES[:4]
    for name in names:
        write_version(models, "affine", name=name)

    async def size(server: KanServe) -> int:
        async with server.channel() as channel:
            told = (await failure_of(predict(channel, names[0])))[1]
        found = re.search(r"it takes (\d+) bytes, max_loaded_bytes is 1\b", told)
        assert found, told
        return int(found[1])

    async def call_all(server: KanServe) -> None:
        async with server.channel() as channel:
            for name in names * 2:
                assert (await predict(channel, name)).version == 1

    model_bytes = asyncio.run(size(start("--max-loaded-bytes", "1")))
    server = start("--max-loaded-bytes", str(model_bytes * 5 // 2))
    asyncio.run(call_all(server))
    wait_for(lambda: _in_memory(server) == 2, "models to be let go")
    assert server.sample("kan_model_ready") == len(names)


@pytest.mark.parametrize(("flag", "bound"), [("--max-loaded-models", "5"), ("--max-loaded-bytes", "5000000")])
def test_several_workers_are_refused(models: Path, frontend: str, flag: str, bound: str) -> None:
    """The server does not start, and says which settings do not go together."""
    ended = run_kan_serve(models, "--frontend", frontend, flag, bound, "--workers", "2")
    assert ended.returncode != 0
    assert "with --max-loaded-models or --max-loaded-bytes only 1 is possible" in " ".join(ended.stderr.split())

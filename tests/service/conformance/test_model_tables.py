"""What one model has of its own, as its callers see it behind either front end."""

import asyncio
from collections.abc import Iterator

import grpc.aio
import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers.calls import ask, failure_of, infer, predict
from tests.kit.models.ground import with_ground
from tests.kit.models.repository import write_version
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import KanServe, serving
from tests.kit.waiting import until_elsewhere

_SETTINGS = """
[models.small]
max_batch_rows = 8
max_queue_rows = 50

[models.narrow]
max_queue_bytes = 1000 # 62 rows of 4 numbers

[models.quota]
quota_rows_per_second = 0.5

[models.ground]
unknown_ground = "refuse"

[models.versions]
versions = "1"
"""

_PRIORITIES = """
[models.slow]
max_batch_rows = 1
priority = 10

[models.equal]
priority = 10

[models.high]
priority = 11

[models.hangs]
max_deadline_seconds = 0.05
"""
# A call that waits for a higher priority waits 50 ms. The timer of a busy event loop may begin a little early.
_WAITED_SECONDS = 0.03


@pytest.fixture(scope="module")
def server(frontend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve with a settings file; the tests share it."""
    folder = tmp_path_factory.mktemp("tables")
    for name in ("small", "narrow", "quota", "plain"):
        write_version(folder / "models", "affine", name=name)
    write_version(folder / "models", "affine", name="ground", change=with_ground("answer"))
    for version in (1, 2):
        write_version(folder / "models", "affine", version, name="versions")
    (folder / "kan-serve.toml").write_text(_SETTINGS)
    flags = ("--frontend", frontend, "--config", str(folder / "kan-serve.toml"))
    with serving(folder / "models", *flags, log=folder / "log") as started:
        yield started


def test_rows_of_runs_queues_and_requests(server: KanServe) -> None:
    """The limits of a table are in force, are told to clients, and hold for that model alone."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            for model, rows, shared in (("small", 50, 3), ("narrow", 62, 3), ("plain", 4096, 512)):
                limits = (await ask(channel, "GetModel", model=model)).limits
                assert (limits.max_request_rows, limits.shared_request_rows) == (rows, shared)
                assert len((await predict(channel, model, rows)).outputs[0].values.raw) == 4 * rows
                code, told = await failure_of(predict(channel, model, rows + 1))
                assert (code, f"wanted 1 to {rows}" in told) == ("INVALID_ARGUMENT", True)

    asyncio.run(check())
    assert server.sample("kan_batch_limit_rows", model="small") == 8
    assert server.sample("kan_queue_limit_rows", model="small") == 50
    assert server.sample("kan_queue_limit_rows", model="narrow") == 62


@pytest.mark.parametrize("protocol", ["kan_api", "open_inference"])
def test_a_quota(server: KanServe, protocol: str) -> None:
    """Rows beyond it are RESOURCE_EXHAUSTED with a time to wait, counted as "quota" and not as overload."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            rows = np.ones((1, 4), np.float32)
            code = grpc.StatusCode.OK
            while code is grpc.StatusCode.OK:  # the bucket holds half a row, so the first leaves a debt of seconds
                call = predict(channel, "quota", rows) if protocol == "kan_api" else infer(channel, "quota", rows)
                code = await call.code()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            trailers = dict(await call.trailing_metadata())
            assert 1 <= int(trailers["grpc-retry-pushback-ms"]) <= 2000
            assert "quota of 0.5 rows a second" in await call.details()

    before = server.sample("kan_rejected_total", model="quota", reason="quota")
    asyncio.run(check())
    assert server.sample("kan_rejected_total", model="quota", reason="quota") > before
    assert server.sample("kan_rejected_total", model="quota", reason="overload") == 0


def test_unknown_ground_over_the_manifests(server: KanServe) -> None:
    """The manifest says "answer", the table "refuse"."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            far = np.full((1, 4), 500, np.float32)
            code, told = await failure_of(predict(channel, "ground", far))
            assert (code, "unknown ground" in told) == ("INVALID_ARGUMENT", True)
            assert (await ask(channel, "GetModel", model="ground")).manifest.unknown_ground == "refuse"

    asyncio.run(check())


def test_versions_of_one_model(server: KanServe) -> None:
    """The table names version 1, so that answers, though version 2 is newer."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            assert (await predict(channel, "versions")).version == 1
            models = (await ask(channel, "ListModels")).models
            assert [(each.version, each.state) for each in models if each.name == "versions"] == [
                (1, pb.MODEL_STATE_READY)
            ]

    asyncio.run(check())


@pytest.fixture(scope="module")
def gated(frontend: str, module_gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KanServe]:
    """A kan-serve with two models that the gate holds, and quick ones with a lower, the same and a higher priority."""
    folder = tmp_path_factory.mktemp("gated")
    for name in ("slow", "hangs"):
        write_version(folder / "models", "slow", name=name)
    for name in ("low", "equal", "high"):
        write_version(folder / "models", "affine", name=name)
    (folder / "kan-serve.toml").write_text(_PRIORITIES)
    flags = ("--frontend", frontend, "--config", str(folder / "kan-serve.toml"))
    with serving(folder / "models", *flags, log=folder / "log") as started:
        yield started


def test_a_model_with_a_higher_priority_runs_first(gated: KanServe, module_gate: Gate) -> None:
    """While its run is held, a model with a lower priority waits for 50 ms and then runs. A model with the same or a
    higher priority does not wait, and once the run has ended, no model does.
    """

    async def queue_seconds(channel: grpc.aio.Channel, model: str) -> float:
        """How long a call waits for its run, while a run of the slow model goes on and another one waits."""
        with module_gate.closed():
            slow = [asyncio.create_task(predict_slow(channel)) for _ in range(2)]
            await until_elsewhere(lambda: gated.sample("kan_queue_rows", model="slow") == 1)
            waited = float((await predict(channel, model)).queue_seconds)
            assert not any(each.done() for each in slow)
        await asyncio.gather(*slow)
        return waited

    async def predict_slow(channel: grpc.aio.Channel) -> None:
        await predict(channel, "slow")

    async def check() -> None:
        async with grpc.aio.insecure_channel(gated.grpc) as channel:
            for _ in range(3):
                assert await queue_seconds(channel, "low") > _WAITED_SECONDS
            # On a busy machine any call may wait, but only the rule lets each one wait.
            async with asyncio.timeout(60):
                for model in ("equal", "high"):
                    while await queue_seconds(channel, model) > _WAITED_SECONDS:
                        pass
                while (await predict(channel, "low")).queue_seconds > _WAITED_SECONDS:
                    pass

    asyncio.run(check())


def test_a_run_that_hangs_ends_at_the_ceiling(gated: KanServe, module_gate: Gate) -> None:
    """Callers without a deadline, or with a later one, get DEADLINE_EXCEEDED while the run still hangs."""

    async def check() -> None:
        async with grpc.aio.insecure_channel(gated.grpc) as channel:
            for seconds in (None, 60):
                code, told = await failure_of(predict(channel, "hangs", seconds=seconds))
                assert (code, "may take 0.05 s" in told or "deadline passed" in told) == ("DEADLINE_EXCEEDED", True)

    with module_gate.closed():
        asyncio.run(check())
    # The second waited for the run of the first; on a busy machine the first has not begun either.
    assert gated.sample("kan_rejected_total", model="hangs", reason="deadline") in (1, 2)

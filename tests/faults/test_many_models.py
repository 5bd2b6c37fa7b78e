"""More models than fit into memory, and trouble in the load of one: its call ends in time, and the others answer."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc.aio
import pytest

from tests.kit.callers.calls import failure_of, predict
from tests.kit.models.repository import cut_short, make_endless, write_version
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import wait_for

pytestmark = pytest.mark.faults

_HOT = ("hot-a", "hot-b")
_FLAGS = ("--max-loaded-models", "4", "--poll-seconds", "0.05")


@pytest.fixture
def serve(kan_serve: Start, models: Path) -> Callable[..., KanServe]:
    """Serves two hot models beside those in the repository; arguments are more flags."""
    for name in _HOT:
        write_version(models, "affine", name=name)
    return lambda *flags: kan_serve(*_FLAGS, *flags)


@asynccontextmanager
async def _hot_calls(server: KanServe) -> AsyncIterator[grpc.aio.Channel]:
    """A channel for calls to a cold model. Until the block ends, callers of the hot ones get every answer."""
    stop = asyncio.Event()

    async def call_on(name: str) -> None:
        async with server.channel() as own:
            while not stop.is_set():
                assert (await predict(own, name)).version == 1
                await asyncio.sleep(0.005)  # the pace of a caller

    async with server.channel() as channel, asyncio.TaskGroup() as callers:
        for name in _HOT:
            callers.create_task(call_on(name))
        try:
            yield channel
        finally:
            stop.set()


async def _begin_load(channel: grpc.aio.Channel, model: str) -> None:
    """Have a load begin that hangs: it goes on after the call for it has ended."""
    code, told = await failure_of(predict(channel, model, seconds=1))
    # Where the machine stood still, the deadline is over before the server says so.
    assert code == "DEADLINE_EXCEEDED" or (code, "not loaded after" in told) == ("UNAVAILABLE", True)


async def _answered(channel: grpc.aio.Channel, model: str, version: int = 1) -> None:
    """Call a model until a version of it answers."""
    async with asyncio.timeout(90):
        while True:
            with suppress(grpc.aio.AioRpcError):
                if (await predict(channel, model)).version == version:
                    return
            await asyncio.sleep(0.02)  # a pause between two questions to another program


def test_a_model_is_damaged_when_it_is_called(serve: Callable[..., KanServe], models: Path) -> None:
    """The call is told why. A model with an older version is answered by that one. A repaired model answers again."""
    whole = write_version(models, "affine", name="cold")
    for version in (1, 2):
        write_version(models, "affine", version, name="older")
    server = serve()

    async def check() -> None:
        async with _hot_calls(server) as channel:
            copy = models.parent / "whole"
            shutil.copytree(whole, copy)
            cut_short(whole)
            cut_short(models / "older" / "2")
            code, told = await failure_of(predict(channel, "cold"))
            assert (code, "refused" in told, "bytes" in told) == ("UNAVAILABLE", True, True)
            assert (await predict(channel, "older")).version == 1
            shutil.copy(copy / "model.onnx", whole / "model.onnx")
            await _answered(channel, "cold")

    asyncio.run(check())
    assert server.sample("kan_model_ready", model="older", version="2") == 0
    assert server.sample("kan_model_ready", model="older", version="1") == 1


def test_the_folder_is_removed_during_a_load(serve: Callable[..., KanServe], models: Path) -> None:
    """The next scan ends the load and the wait: no such model. When the folder is back, whole, it answers."""
    folder = write_version(models, "affine", name="cold", spoil=make_endless)
    server = serve()

    async def check() -> None:
        async with _hot_calls(server) as channel:
            await _begin_load(channel, "cold")
            waiting = asyncio.ensure_future(failure_of(predict(channel, "cold", seconds=80)))
            shutil.rmtree(folder.parent)
            began = time.monotonic()
            assert (await waiting)[0] in ("NOT_FOUND", "UNAVAILABLE")
            assert time.monotonic() - began < 30  # the caller has 64 s
            write_version(models, "affine", name="cold")
            await _answered(channel, "cold")

    asyncio.run(check())


def test_a_load_that_hangs(serve: Callable[..., KanServe], models: Path) -> None:
    """Its calls fail within their deadline. Others load beside it. In the end it is refused, and holds no place."""
    write_version(models, "affine", name="hangs", spoil=make_endless)
    for number in range(6):
        write_version(models, "affine", name=f"cold-{number}")
    server = serve("--max-load-seconds", "10")

    async def check() -> None:
        async with _hot_calls(server) as channel:
            code, told = await failure_of(predict(channel, "hangs", seconds=5))
            assert (code, "not loaded after" in told) == ("UNAVAILABLE", True)  # else the caller's clock had ended it
            for number in range(6):
                assert (await predict(channel, f"cold-{number}")).version == 1
            code, told = await failure_of(predict(channel, "hangs"))
            assert (code, "refused" in told, "max_load_seconds" in told) == ("UNAVAILABLE", True, True)

    asyncio.run(check())
    wait_for(lambda: server.sample("kan_model_info") <= 4, "models to be let go")


def test_500_cold_calls_at_once(kan_serve: Start, models: Path) -> None:
    """To as many models, of which five fit: each is answered, and never more than the five stay."""
    names = [f"m{number:03}" for number in range(500)]
    for name in names:
        write_version(models, "affine", name=name)
    server = kan_serve("--max-loaded-models", "5", "--max-calls", "4096")
    before = server.open_files()

    async def check() -> None:
        async with server.channel() as channel:
            answers = await asyncio.gather(*(predict(channel, name, seconds=300) for name in names))
            assert {answer.model for answer in answers} == set(names)

    asyncio.run(check())
    wait_for(lambda: server.sample("kan_model_info") <= 5, "models to be let go")
    assert server.sample("kan_model_ready") == 500
    wait_for(lambda: server.open_files() <= before + 20, "files to be closed")
    assert "Traceback" not in server.log.read_text()


def test_more_cold_calls_than_may_wait(serve: Callable[..., KanServe], models: Path) -> None:
    """An eighth of all calls waits for a load that hangs. One more is told at once to try again. Hot calls go on."""
    write_version(models, "affine", name="hangs", spoil=make_endless)
    names = [f"m{number:02}" for number in range(40)]
    for name in names:
        write_version(models, "affine", name=name)
    server = serve("--max-calls", "64")

    async def check() -> None:
        async with _hot_calls(server) as channel:
            await _begin_load(channel, "hangs")
            waiting = [predict(channel, "hangs", seconds=90) for _ in range(8)]
            refused = ""
            for name in names:  # the calls that wait may arrive later than the first of these
                with suppress(grpc.aio.AioRpcError):
                    await predict(channel, name)
                    continue
                refused = name
                break
            code, told = await failure_of(predict(channel, refused))
            assert (code, "8 callers wait" in told) == ("UNAVAILABLE", True)
            for call in waiting:
                call.cancel()
            await _answered(channel, refused)

    asyncio.run(check())


def test_the_server_is_killed_in_a_load(serve: Callable[..., KanServe], models: Path) -> None:
    """The next one is ready at once, since it loads nothing, and answers for all other models."""
    write_version(models, "affine", name="hangs", spoil=make_endless)
    first = serve()

    async def kill() -> None:
        async with first.channel() as channel:
            await _begin_load(channel, "hangs")
            waiting = asyncio.ensure_future(failure_of(predict(channel, "hangs")))
            first.kill()
            assert (await waiting)[0] == "UNAVAILABLE"

    asyncio.run(kill())
    second = serve()
    assert second.is_ready()

    async def check() -> None:
        async with _hot_calls(second) as channel:
            assert (await predict(channel, _HOT[0])).version == 1

    asyncio.run(check())
    code, log = second.stop()
    assert (code, "Traceback" in log) == (0, False)

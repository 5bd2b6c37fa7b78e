"""Calls that wait for a cold model: each ends, in the order in which they came, whatever happens meanwhile."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from service.errors import Draining, ModelNotFound, ModelNotReady
from service.metrics.metrics import Metrics
from service.registry.registry import State
from service.repository import disk
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import HeldLoads, loaded_registry
from tests.kit.parts.residency import call, in_memory, ready
from tests.kit.parts.storage import Outage
from tests.kit.waiting import run_test, until


@pytest.fixture
def four(models: Path, write_model: WriteModel) -> Path:
    """A repository of the models a, b, c and d."""
    for name in "abcd":
        write_model("affine", name=name)
    return models


@pytest.mark.parametrize("asks", ["a call", "a request to load"])
def test_a_scan_that_finds_the_files_gone_ends_the_wait(asks: str, four: Path, held_loads: HeldLoads) -> None:
    """The scan cancels the load. The caller is told at once that there is no such model."""

    async def test() -> None:
        settings = Settings(models=four, max_loaded_models=2, allow_load=True)
        async with loaded_registry(settings) as registry:
            held_loads.holding = True
            asked = call(registry, "a") if asks == "a call" else registry.load("a")
            waiting: asyncio.Task[Any] = asyncio.create_task(asked)
            await asyncio.to_thread(held_loads.begun.wait)
            (four / "a").rename(four / ".a")
            await registry.scan()
            async with asyncio.timeout(60):
                with pytest.raises((ModelNotFound, ModelNotReady)):
                    await waiting
            assert "a" not in {one.name for one in registry.statuses()}

    run_test(test())


def test_calls_to_two_versions_of_one_model_share_the_room_for_one(models: Path, write_model: WriteModel) -> None:
    """A call that waits for a version does not keep another version of the model in memory."""
    for version in (1, 2):
        write_model("affine", version)

    async def test() -> None:
        settings = Settings(models=models, max_loaded_models=1, versions="all")
        async with loaded_registry(settings) as registry:
            for version in (1, 2, 1):
                assert await call(registry, "affine", version) == version
                assert in_memory(registry) == [f"affine/{version}"]
            both = (call(registry, "affine", version) for version in (1, 2) * 10)
            assert await asyncio.gather(*both) == [1, 2] * 10

    run_test(test())


def test_room_is_given_in_the_order_of_the_calls(models: Path, write_model: WriteModel) -> None:
    """No call overtakes another that waits for room longer, however many there are."""
    names = [f"m{number:02}" for number in range(30)]
    for name in names:
        write_model("affine", name=name)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, max_loaded_models=1)) as registry:
            answered: list[str] = []

            async def ask(name: str) -> None:
                await call(registry, name)
                answered.append(name)

            with await registry.lease_or_wait(names[0]):
                waiting = [asyncio.create_task(ask(name)) for name in names[1:]]
                with pytest.raises(ModelNotReady, match="not loaded after"):
                    await call(registry, "m29", seconds=0.2)
            await asyncio.gather(*waiting)
            assert answered == names[1:]

    run_test(test())


def test_a_call_for_a_model_that_is_in_memory_waits_for_no_other(four: Path) -> None:
    """Two calls wait for b, and one for c between them. Once b is loaded both get it, and then c gets its room."""

    async def test() -> None:
        async with loaded_registry(Settings(models=four, max_loaded_models=1)) as registry:
            with await registry.lease_or_wait("a"):
                waiting = [asyncio.create_task(call(registry, name)) for name in "bcbcb"]
                with pytest.raises(ModelNotReady, match="not loaded after"):
                    await call(registry, "d", seconds=0.1)
            assert await asyncio.gather(*waiting) == [1] * 5
            assert in_memory(registry) == ["c/1"]

    run_test(test())


@pytest.mark.parametrize("second_name", ["b", "c"])
def test_a_cancelled_call_leaves_its_place_to_the_next(four: Path, second_name: str) -> None:
    """The first in the queue for room gives up: the second gets the room, also if it waits for the same model."""

    async def test() -> None:
        async with loaded_registry(Settings(models=four, max_loaded_models=1)) as registry:
            with await registry.lease_or_wait("a"):
                first, second = (asyncio.create_task(call(registry, name)) for name in ("b", second_name))
                with pytest.raises(ModelNotReady, match="not loaded after"):
                    await call(registry, "d", seconds=0.1)
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)
            assert await second == 1
            assert in_memory(registry) == [f"{second_name}/1"]

    run_test(test())


def test_a_new_version_whose_load_hangs_does_not_hold_up_the_one_before(
    models: Path, write_model: WriteModel, held_loads: HeldLoads
) -> None:
    """That one was let go meanwhile. A call has it loaded again, and waits for nothing else."""
    for name in ("affine", "b", "c"):
        write_model("affine", name=name)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, max_loaded_models=2)) as registry:
            await call(registry, "affine")
            held_loads.holding = True
            write_model("affine", 2)
            await registry.scan()
            await asyncio.to_thread(held_loads.begun.wait)
            held_loads.holding = False  # later loads go on
            for name in "bc":
                await call(registry, name)
            assert in_memory(registry) == ["b/1", "c/1"]
            assert await call(registry, "affine") == 1
            held_loads.go_on.set()
            await until(lambda: "affine/2" in in_memory(registry))
            assert await call(registry, "affine") == 2

    run_test(test())


def test_unknown_names_keep_no_call_from_a_known_model(four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd of calls with made-up names waits for a scan. A call to a cold model does not stand in that queue."""
    hangs, go_on = threading.Event(), threading.Event()
    list_models = disk.list_models

    def held(*given: Any) -> Any:
        hangs.set()
        go_on.wait()
        return list_models(*given)

    async def test() -> None:
        async with loaded_registry(Settings(models=four, max_loaded_models=2, max_calls=8)) as registry:
            monkeypatch.setattr(disk, "list_models", held)
            unknown = asyncio.create_task(call(registry, "unknown"))
            await asyncio.to_thread(hangs.wait)
            with pytest.raises(ModelNotReady, match="1 callers wait"):
                await call(registry, "unknown-too")
            assert await call(registry, "a") == 1
            go_on.set()
            with pytest.raises(ModelNotFound):
                await unknown

    try:
        run_test(test())
    finally:
        go_on.set()


def test_a_call_during_a_stop_is_told_so(four: Path) -> None:
    """And not that the next call loads the model."""

    async def test() -> None:
        async with loaded_registry(Settings(models=four, max_loaded_models=2)) as registry:
            await registry.drain()
            with pytest.raises(Draining, match="stopping"):
                await call(registry, "a")

    run_test(test())


@pytest.mark.parametrize("asks", ["calls", "a request to load"])
def test_files_that_cannot_be_read_now(
    asks: str, models: Path, write_model: WriteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call gets the reason, and no older version answers in place of the newest. The next call tries again."""
    outage = Outage(monkeypatch)
    for version in (1, 2):
        write_model("affine", version)
    settings = Settings(
        models=models.as_uri(), cache_folder=str(tmp_path / "cache"), max_loaded_models=1, allow_load=True
    )

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(settings, metrics) as registry:
            outage.off = {"cat_file"}
            asked = [call(registry, "affine") for _ in range(5)] if asks == "calls" else [registry.load("affine")]
            failures = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(each) for each in failures} == {ModelNotReady}
            assert all("no route to host" in str(each) for each in failures)
            assert outage.failed == 1  # all calls share an attempt
            assert [(one.version, one.state) for one in registry.statuses()] == [(2, State.COLD)]
            assert ready(metrics, "affine", 2) == 1
            outage.off = set()
            assert await call(registry, "affine") == 2  # without a scan

    run_test(test())

"""Room in memory that does not come: the call ends, and holds up no other one for long."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from service.errors import ModelNotReady, Overloaded
from service.registry.residency.residency import Residency
from service.settings import ModelTable, Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import loaded_registry
from tests.kit.parts.residency import call, in_memory
from tests.kit.waiting import run_test, until


@pytest.fixture
def small_and_large(models: Path, write_model: WriteModel) -> Path:
    """A repository of the small models a and b, and of a large model."""
    for kind, name in (("affine", "a"), ("affine", "b"), ("slow", "large")):
        write_model(kind, name=name)
    return models


async def settings_for_either(models: Path, **more: object) -> Settings:
    """Settings with room for two small models, or for a large one alone."""
    async with loaded_registry(Settings(models=models)) as registry:
        with registry.lease("a") as small, registry.lease("large") as large:
            most_bytes = small.memory_bytes + large.memory_bytes - 1
            assert 2 * small.memory_bytes <= most_bytes
    return Settings.model_validate({"models": models, "max_loaded_bytes": most_bytes, **more})


@pytest.mark.parametrize("asks", ["calls", "a request to load"])
def test_a_model_that_never_fits_beside_the_pinned_ones_is_refused_at_once(asks: str, small_and_large: Path) -> None:
    """Its first load shows its size. All calls that wait for that load, and later ones, get the error."""

    async def test() -> None:
        settings = await settings_for_either(small_and_large, tables={"a": ModelTable(pinned=True)}, allow_load=True)
        async with loaded_registry(settings) as registry, asyncio.timeout(60):
            await call(registry, "b")
            for _ in range(2):
                asked: list[Awaitable[object]] = (
                    [call(registry, "large", seconds=600) for _ in range(3)]
                    if asks == "calls"
                    else [registry.load("large")]
                )
                found = await asyncio.gather(*asked, return_exceptions=True)
                assert {type(each) for each in found} == {Overloaded}
                assert all("pinned models leave no room" in str(each) for each in found)
            assert in_memory(registry) == ["a/1", "b/1"]

    run_test(test())


def test_a_call_that_finds_no_room_lets_those_pass_that_need_less(small_and_large: Path) -> None:
    """A model stays in use, so the large one waits. A call to a small one is answered, and the large one after it."""

    async def test() -> None:
        async with loaded_registry(await settings_for_either(small_and_large)) as registry:
            for name in ("large", "b"):  # their sizes are known from now on
                await call(registry, name)
            await call(registry, "large")
            await call(registry, "a")
            with await registry.lease_or_wait("a"):
                waiting = asyncio.create_task(call(registry, "large", seconds=600))
                await asyncio.sleep(0)  # it is the first in the line
                assert await call(registry, "b") == 1
                assert not waiting.done()
                assert in_memory(registry) == ["a/1", "b/1"]
            assert await waiting == 1
            assert in_memory(registry) == ["large/1"]

    run_test(test())


def test_a_request_to_load_waits_for_room_for_a_bounded_time(small_and_large: Path) -> None:
    """It has no deadline. The error says what to do, and the request succeeds once there is room."""

    async def test() -> None:
        settings = Settings(models=small_and_large, max_loaded_models=1, allow_load=True, max_load_seconds=1)
        async with loaded_registry(settings) as registry, asyncio.timeout(60):
            with await registry.lease_or_wait("a"):
                with pytest.raises(ModelNotReady, match="no room within 1 s"):
                    await registry.load("b")
                assert in_memory(registry) == ["a/1"]
            await registry.load("b")
            assert in_memory(registry) == ["b/1"]

    run_test(test())


def test_a_call_that_waits_for_room_looks_for_it_seldom(small_and_large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of models in memory a look takes milliseconds of the event loop: at most 15 a second are made."""
    looks = 0
    make_room = Residency._make_room

    def counted(*given: Any, **more: Any) -> bool:
        nonlocal looks
        looks += 1
        return make_room(*given, **more)

    async def test() -> None:
        settings = Settings(models=small_and_large, max_loaded_models=1)
        async with loaded_registry(settings) as registry:
            with await registry.lease_or_wait("a"):
                monkeypatch.setattr(Residency, "_make_room", counted)
                with pytest.raises(ModelNotReady, match="not loaded after"):
                    await call(registry, "b", seconds=1.25)
            assert 1 < looks <= 15

    run_test(test())


def test_calls_wait_on_if_the_first_load_shows_that_there_is_no_room(
    small_and_large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their model is let go by its own load, within the bound. They are answered as soon as there is room for it."""

    async def test() -> None:
        async with loaded_registry(await settings_for_either(small_and_large)) as registry:
            with await registry.lease_or_wait("a"):
                waiting = [asyncio.create_task(call(registry, "large")) for _ in range(3)]
                await until(lambda: "finds no room" in caplog.text)
                assert in_memory(registry) == ["a/1"]
            assert await asyncio.gather(*waiting) == [1, 1, 1]
            assert in_memory(registry) == ["large/1"]

    run_test(test())

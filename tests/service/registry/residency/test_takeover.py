"""Bounds on models in memory while versions change: what answers goes on until something else can."""

import asyncio
import shutil
from pathlib import Path

import pytest

from service.errors import ModelNotReady
from service.metrics.metrics import Metrics
from service.registry.version_status import SERVED
from service.settings import ModelTable, Settings
from tests.kit.models.repository import WriteModel, cut_short
from tests.kit.parts.registry import HeldLoads, loaded_registry, ready_versions
from tests.kit.parts.residency import call, in_memory, ready
from tests.kit.waiting import run_test, until


def test_new_versions_of_all_models_at_once_let_none_go_before_they_are_loaded(
    models: Path, write_model: WriteModel, held_loads: HeldLoads
) -> None:
    """While they are being loaded, the old ones answer from memory. A cold call takes the place of one model."""
    for name in "abcd":
        write_model("affine", name=name)

    async def test() -> None:
        settings = Settings(models=models, max_loaded_models=3, linger_seconds=0)
        async with loaded_registry(settings) as registry:
            for name in "abc":
                await call(registry, name)
            held_loads.holding = True
            for name in "abc":
                write_model("affine", 2, name=name)
            await registry.scan()
            await until(lambda: held_loads.count == 3)
            await registry.scan()
            assert in_memory(registry) == ["a/1", "b/1", "c/1"]
            held_loads.holding = False
            assert await call(registry, "d") == 1
            assert in_memory(registry) == ["b/1", "c/1", "d/1"]
            held_loads.go_on.set()
            await until(lambda: all(each.state in SERVED for each in registry.statuses() if each.version == 2))
            assert [await call(registry, name) for name in "abc"] == [2, 2, 2]
            assert len(in_memory(registry)) <= 3

    run_test(test())


@pytest.mark.parametrize("is_broken", [False, True])
def test_a_version_that_is_withdrawn_answers_until_the_one_before_is_loaded(
    models: Path, write_model: WriteModel, held_loads: HeldLoads, *, is_broken: bool
) -> None:
    """If that one is broken, the withdrawn one goes on. A call never waits for the way back."""
    write_model("affine", 1, spoil=cut_short if is_broken else None)
    write_model("affine", 2)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, max_loaded_models=5)) as registry:
            assert await call(registry, "affine") == 2
            shutil.rmtree(models / "affine" / "2")
            held_loads.holding = True
            await registry.scan()
            assert registry.probe("affine") is not None
            assert await call(registry, "affine") == 2
            held_loads.go_on.set()
            if is_broken:
                await until(
                    lambda: any("refused" in one.reason or "bytes" in one.reason for one in registry.statuses())
                )
                await registry.scan()
                assert await call(registry, "affine") == 2
            else:
                await until(lambda: in_memory(registry) == ["affine/1"])
                assert await call(registry, "affine") == 1

    run_test(test())


def test_a_model_that_is_pinned_while_it_is_cold_counts_as_ready(
    models: Path, write_model: WriteModel, held_loads: HeldLoads
) -> None:
    """And an older version that is in memory does not answer in place of the latest."""
    for version in (1, 2):
        write_model("affine", version)

    async def test() -> None:
        settings = Settings(models=models, max_loaded_models=5, versions="all")
        async with loaded_registry(settings, metrics := Metrics()) as registry:
            assert await call(registry, "affine", 1) == 1
            held_loads.holding = True
            await registry.adopt(settings.model_copy(update={"tables": {"affine": ModelTable(pinned=True)}}))
            await asyncio.to_thread(held_loads.begun.wait)
            assert registry.probe("affine") is None
            assert ready(metrics, "affine", 2) == 1
            waiting = asyncio.create_task(call(registry, "affine"))
            held_loads.go_on.set()
            assert await waiting == 2

    run_test(test())


def test_a_pinned_model_may_be_larger_than_the_bound_on_bytes(models: Path, write_model: WriteModel) -> None:
    """It is loaded at the start. A cold call is then refused at once, as with all pinned models that fill a bound."""
    for name in "ab":
        write_model("affine", name=name)
    settings = Settings(models=models, max_loaded_bytes=10, tables={"a": ModelTable(pinned=True)})

    async def test() -> None:
        async with loaded_registry(settings) as registry:
            assert in_memory(registry) == ["a/1"]
            assert await call(registry, "a") == 1

    run_test(test())


def test_nothing_is_let_go_in_vain(models: Path, write_model: WriteModel) -> None:
    """A large model for which there is no room yet waits, and small ones that answer stay in memory until there is."""
    for kind, name in (("affine", "a"), ("affine", "b"), ("slow", "large")):
        write_model(kind, name=name)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            with registry.lease("a") as small, registry.lease("large") as large:
                most_bytes = small.memory_bytes + large.memory_bytes - 1
                assert 2 * small.memory_bytes <= most_bytes
        async with loaded_registry(Settings(models=models, max_loaded_bytes=most_bytes)) as registry:
            for name in ("large", "a"):  # the size of the large one is known from now on
                await call(registry, name)
            with await registry.lease_or_wait("b"):
                waiting = asyncio.create_task(call(registry, "large"))
                with pytest.raises(ModelNotReady, match="not loaded after"):
                    await call(registry, "large", seconds=0.3)
                assert in_memory(registry) == ["a/1", "b/1"]
            assert await waiting == 1
            assert in_memory(registry) == ["large/1"]

    run_test(test())


def test_a_version_is_withdrawn_without_bounds(models: Path, write_model: WriteModel) -> None:
    """The older one is loaded at once and takes over."""
    for version in (1, 2):
        write_model("affine", version)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            shutil.rmtree(models / "affine" / "2")
            await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]

    run_test(test())

"""Loads that an unload or a stop overtakes: they change nothing."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from service.errors import ModelNotReady
from service.metrics.metrics import Metrics
from service.registry.registry import Registry
from service.repository import disk
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.batching import turns
from tests.kit.parts.registry import HeldLoads, loaded_registry, ready_versions
from tests.kit.waiting import run_test


def loads() -> set[str]:
    """The loads that are under way."""
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("load ")}


@pytest.mark.parametrize("whole", [True, False])
def test_an_unload_in_the_turn_in_which_a_load_ends_is_the_last_word(
    models: Path, write_model: WriteModel, held_loads: HeldLoads, whole: bool
) -> None:
    """The version neither answers nor is refused, and no other version of its model is loaded."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            write_model("affine", 2)
            held_loads.holding, held_loads.fault = True, None if whole else ValueError("no graph")
            await registry.scan()
            await asyncio.to_thread(held_loads.begun.wait)
            await held_loads.end_in_next_turn()
            await registry.unload("affine")
            await turns(5)
            assert registry.statuses() == []
            assert loads() == set()
            labels = {"model": "affine", "version": "2"}
            assert metrics.registry.get_sample_value("kan_model_ready", labels) is None

    run_test(test())


@pytest.mark.parametrize("watched", [False, True])
def test_a_stop_in_the_turn_in_which_a_load_is_refused_begins_no_other_load(
    models: Path, write_model: WriteModel, held_loads: HeldLoads, watched: bool
) -> None:
    """The version before it would be loaded in its place, and nobody would end that load.

    With a watcher, the stop takes a few turns until it reaches the loads.
    """
    write_model("affine", 1)
    write_model("affine", 2)

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        held_loads.holding, held_loads.fault = True, ValueError("no graph")
        starting = asyncio.create_task(registry.load_all())
        await asyncio.to_thread(held_loads.begun.wait)
        if watched:
            registry.watch(lambda: None)
        await held_loads.end_in_next_turn()
        await registry.close()
        await turns(5)
        assert loads() == set()
        assert [status.version for status in registry.statuses()] == [2]
        starting.cancel()
        await asyncio.wait({starting})

    run_test(test())


@pytest.mark.parametrize("name", ["affine", "other"])
def test_an_unload_waits_for_no_load_that_lists_the_repository(
    name: str, models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository hangs during the load of a model. An unload acts at once, and a later one of that model wins."""
    for each in ("affine", "other"):
        write_model("affine", name=each)
    hangs, go_on = threading.Event(), threading.Event()
    list_models = disk.list_models

    def held(*given: Any) -> Any:
        hangs.set()
        go_on.wait()
        return list_models(*given)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, allow_load=True)) as registry:
            monkeypatch.setattr(disk, "list_models", held)
            loading = asyncio.create_task(registry.load("affine"))
            try:
                await asyncio.to_thread(hangs.wait)
                async with asyncio.timeout(60):
                    await registry.unload(name)
                kept = {"affine/1", "other/1"} - {f"{name}/1"}
                assert set(ready_versions(registry)) == kept
            finally:
                go_on.set()
            if name == "affine":
                with pytest.raises(ModelNotReady, match="unloaded meanwhile"):
                    await loading
            else:
                await loading
            await registry.scan()
            assert set(ready_versions(registry)) == kept

    run_test(test())

"""Scans of the repository: they take turns with requests to load, and a stop ends them."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from service.errors import Draining, ModelNotFound
from service.metrics.metrics import Metrics
from service.registry.registry import Registry
from service.settings import ModelTable, Settings
from tests.kit.models.repository import WriteModel, make_endless
from tests.kit.parts.batching import turns
from tests.kit.parts.registry import HeldLoads, loaded_registry, ready_versions
from tests.kit.waiting import run_test


@pytest.mark.parametrize("second", ["a scan", "a load on request"])
def test_no_scan_begins_before_the_last_one_ended(
    second: str, models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old listing that arrives after a newer one would take versions back that are published."""
    write_model("affine", 1)
    hangs, go_on = threading.Event(), threading.Event()
    scandir = os.scandir

    def held(*given: Any) -> Any:
        found = scandir(*given)
        hangs.set()
        go_on.wait()
        return found

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            with monkeypatch.context() as patch:
                patch.setattr(os, "scandir", held)
                scans = [asyncio.create_task(registry.scan())]
                while not hangs.is_set():  # noqa: ASYNC110 - another thread's
                    await asyncio.sleep(0)
            write_model("affine", 2)
            scans.append(asyncio.create_task(registry.scan() if second == "a scan" else registry.load("affine")))
            for _ in range(10):
                await asyncio.sleep(0)
            assert [thread.name for thread in threading.enumerate()].count("list") == 1
            go_on.set()
            await asyncio.gather(*scans)

    try:
        run_test(test())
    finally:
        go_on.set()


def test_a_load_on_request_ends_after_the_scan_beside_it(
    models: Path, write_model: WriteModel, held_loads: HeldLoads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source is called once at a time, and the last call of a load tells it which versions answer."""
    write_model("affine", 1)
    hangs, go_on = threading.Event(), threading.Event()
    scandir = os.scandir

    def held(*given: Any) -> Any:
        hangs.set()
        go_on.wait()
        return scandir(*given)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            write_model("affine", 2)
            held_loads.holding = True
            loading = asyncio.create_task(registry.load("affine"))
            await asyncio.to_thread(held_loads.begun.wait)
            monkeypatch.setattr(os, "scandir", held)
            scanning = asyncio.create_task(registry.scan())
            await asyncio.to_thread(hangs.wait)
            await held_loads.end_in_next_turn()
            await turns(10)
            assert ready_versions(registry) == ["affine/2"]
            assert not loading.done()
            go_on.set()
            await asyncio.gather(loading, scanning)

    try:
        run_test(test())
    finally:
        go_on.set()


@pytest.mark.parametrize("stop", [Registry.drain, Registry.close])
def test_a_stop_ends_whatever_is_under_way(
    stop: Callable[[Registry], Coroutine[Any, Any, None]],
    models: Path,
    write_model: WriteModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The scans, a load, a check of a refused version and a request that waits, whatever hangs.

    No task is left, and none begins after it.
    """
    write_model("affine", 1)
    refused = write_model("affine", 2)
    (refused / "model.onnx").write_bytes(b"half")
    go_on = threading.Event()
    scandir = os.scandir

    def held(folder: Any) -> Any:
        if folder == refused:
            go_on.wait()
        return scandir(folder)

    async def test() -> None:
        registry = Registry(Settings(models=models, poll_seconds=3600, max_load_seconds=600), Metrics())
        await registry.load_all()
        registry.watch(lambda: None)
        monkeypatch.setattr(os, "scandir", held)
        make_endless(write_model("affine", 1, name="endless"))
        await registry.scan()
        waiting = asyncio.create_task(registry.lease_or_wait("affine", 3))
        await asyncio.sleep(0)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert names >= {"watch", "load endless/1", "check refused versions", "scan for a request"}
        await stop(registry)
        with pytest.raises(Draining):
            await waiting
        assert (registry.draining, registry.unready_reason()) == (True, "draining")
        write_model("affine", 4)
        with pytest.raises((Draining, ModelNotFound)):
            await registry.lease_or_wait("affine", 4)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    try:
        run_test(test())
    finally:
        go_on.set()


def test_models_are_loaded_in_the_order_of_their_names(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a scan and after a change of settings, so in every worker alike: their loads wait for each other."""
    names = sorted(f"model-{number}" for number in range(12))
    for name in names:
        write_model("affine", name=name)
    held = HeldLoads(monkeypatch)

    async def test() -> None:
        only_first = Settings(models=models, tables={name: ModelTable(versions="1") for name in names})
        async with loaded_registry(only_first) as registry:
            for name in names:
                write_model("affine", version=2, name=name)
            await registry.refresh()
            held.holding = True
            await registry.adopt(Settings(models=models))
            assert [entry.name for entry in registry._loader.loading] == names
            more = [f"more-{name}" for name in names]
            for name in more:
                write_model("affine", name=name)
            await registry.scan()
            assert [entry.name for entry in registry._loader.loading] == names + more
            held.go_on.set()

    run_test(test())

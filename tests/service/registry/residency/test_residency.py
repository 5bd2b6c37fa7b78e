"""Bounds on models in memory: which versions are loaded and when, which are let go, and what callers see of it."""

import asyncio
import gc
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from service.errors import ModelNotFound, ModelNotReady, Overloaded, QuotaExceeded
from service.metrics.metrics import Metrics
from service.registry.registry import Registry, State
from service.settings import ModelTable, Settings
from tests.kit.models.repository import WriteModel, cut_short
from tests.kit.parts.registry import HeldLoads, loaded_registry
from tests.kit.parts.residency import call, ready
from tests.kit.waiting import run_test, until

_NAMES = ("a", "b", "c", "d")


@pytest.fixture
def four(models: Path, write_model: WriteModel) -> Path:
    """A repository of the models a, b, c and d."""
    for name in _NAMES:
        write_model("affine", name=name)
    return models


def _in_memory(registry: Registry) -> str:
    """The names of the models that are loaded, as "ab"."""
    return "".join(status.name for status in registry.statuses() if status.is_loaded)


def _series(metrics: Metrics, model: str) -> set[str]:
    """The metrics that have a sample of a model."""
    samples = (each for family in metrics.registry.collect() for each in family.samples)
    return {each.name for each in samples if each.labels.get("model") == model}


@pytest.mark.parametrize("bound", [{"max_loaded_models": 2}, {"max_loaded_bytes": 2**40}])
def test_names_are_known_at_the_start_and_nothing_is_read(four: Path, bound: dict[str, int]) -> None:
    """A manifest is read by the first call, so the server starts. Each model is ready, with no other series."""
    (four / "d" / "1" / "manifest.json").write_text("{")

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings.model_validate({"models": four, **bound}), metrics) as registry:
            assert registry.ready()
            assert [(one.name, one.state, one.latest) for one in registry.statuses()] == [
                (name, State.COLD, True) for name in _NAMES
            ]
            assert all(_series(metrics, name) == {"kan_model_ready"} for name in _NAMES)
            assert [ready(metrics, name) for name in _NAMES] == [1, 1, 1, 1]
            assert await call(registry, "a") == 1
            assert _in_memory(registry) == "a"
            assert "kan_batch_limit_rows" in _series(metrics, "a")
            with pytest.raises(ModelNotReady, match="refused"):
                await call(registry, "d")
            assert ready(metrics, "d") == 0
            with pytest.raises(ModelNotFound):
                await call(registry, "e")

    run_test(test())


def test_without_bounds_all_are_loaded_at_the_start(four: Path) -> None:
    """Nothing is cold, also if a model is pinned."""

    async def test() -> None:
        async with loaded_registry(Settings(models=four, tables={"a": ModelTable(pinned=True)})) as registry:
            assert _in_memory(registry) == "abcd"

    run_test(test())


def test_the_least_recently_used_is_let_go_and_comes_back(four: Path) -> None:
    """By number: the third model takes the place of the one whose last call is longest ago. That one stays ready."""

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=four, max_loaded_models=2), metrics) as registry:
            for name in "abac":
                await call(registry, name)
            assert _in_memory(registry) == "ac"
            await until(lambda: "kan_model_info" not in _series(metrics, "b"))
            assert ready(metrics, "b") == 1
            assert registry.probe("b") is None
            assert await call(registry, "b") == 1
            assert _in_memory(registry) == "bc"
            assert ready(metrics, "b") == 1

    run_test(test())


def test_settings_that_make_models_anew_keep_the_order_of_use(four: Path) -> None:
    """A was used last, so b is let go for c, though b was made anew after a."""

    async def test() -> None:
        settings = Settings(models=four, max_loaded_models=2)
        async with loaded_registry(settings) as registry:
            for name in "aba":
                await call(registry, name)
            await registry.adopt(
                settings.model_copy(update={"tables": {n: ModelTable(max_batch_rows=7) for n in "ab"}})
            )
            await call(registry, "c")
            assert _in_memory(registry) == "ac"

    run_test(test())


def test_series_of_models_that_were_let_go_are_bounded(four: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last of them keep more than kan_model_ready."""
    monkeypatch.setattr("service.metrics.metrics._MOST_COLD_KEPT", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=four, max_loaded_models=1), metrics) as registry:
            for name in "abcd":
                await call(registry, name)
            await until(lambda: _series(metrics, "b") == {"kan_model_ready"})
            assert _series(metrics, "a") == {"kan_model_ready"}
            assert "kan_batch_limit_rows" in _series(metrics, "c") & _series(metrics, "d")

    run_test(test())


def test_a_pinned_model_and_one_in_use_stay(four: Path) -> None:
    """A cold call waits while all others are in use, and takes the first that is free. Nothing in use is closed."""

    async def test() -> None:
        settings = Settings(models=four, max_loaded_models=2, tables={"a": ModelTable(pinned=True)})
        async with loaded_registry(settings) as registry:
            assert _in_memory(registry) == "a"
            with await registry.lease_or_wait("b") as model:
                waiting = asyncio.create_task(call(registry, "c"))
                with pytest.raises(ModelNotReady, match="not loaded after"):
                    await call(registry, "d", seconds=0.2)
                assert not waiting.done()
                assert _in_memory(registry) == "ab"
                await model.submit(np.zeros((1, 4), np.float32), None)
            assert await waiting == 1
            assert _in_memory(registry) == "ac"

    run_test(test())


def test_pinned_models_that_fill_the_bound_refuse_a_cold_call_at_once(four: Path) -> None:
    """The message says what to do. The pinned ones answer, and an unpinned model makes room."""

    async def test() -> None:
        tables = {name: ModelTable(pinned=True) for name in "ab"}
        settings = Settings(models=four, max_loaded_models=2, tables=tables)
        async with loaded_registry(settings) as registry:
            with pytest.raises(Overloaded, match=r"pinned models leave no room.*max_loaded_models is 2"):
                await call(registry, "c")
            assert [await call(registry, name) for name in "ab"] == [1, 1]
            await registry.adopt(settings.model_copy(update={"tables": {"b": settings.tables["b"]}}))
            await call(registry, "c")
            assert _in_memory(registry) == "bc"
            await registry.adopt(settings.model_copy(update={"tables": {"*": settings.tables["b"]}}))
            await until(lambda: _in_memory(registry) == "abcd")  # the table pins all

    run_test(test())


def test_a_model_that_is_let_go_leaves_nothing_behind(four: Path) -> None:
    """Its session is freed without the garbage collector. Threads, open files and tasks do not grow."""

    async def test() -> None:
        async with loaded_registry(Settings(models=four, max_loaded_models=1)) as registry:
            with await registry.lease_or_wait("a") as model:
                let_go = weakref.ref(model)
            del model
            gc.disable()
            try:
                await call(registry, "b")
                await until(lambda: let_go() is None)
            finally:
                gc.enable()
            process = psutil.Process()
            before = threading.active_count(), process.num_fds(), len(asyncio.all_tasks())
            for name in "abcd" * 5:
                await call(registry, name)
            await until(lambda: threading.active_count() <= before[0] and len(asyncio.all_tasks()) <= before[2])
            await until(lambda: process.num_fds() <= before[1])

    run_test(test())


def test_a_model_that_is_let_go_keeps_what_was_used_of_its_quota(four: Path) -> None:
    """Otherwise callers of other models could fill it."""

    async def test() -> None:
        settings = Settings(models=four, max_loaded_models=1, tables={"a": ModelTable(quota_rows_per_second=1)})
        async with loaded_registry(settings) as registry:
            with await registry.lease_or_wait("a") as model:
                await model.submit(np.zeros((1000, 4), np.float32), None)  # paid back after a quarter of an hour
            model_of_a = weakref.ref(model)
            del model
            await call(registry, "b")
            await until(lambda: model_of_a() is None)
            with pytest.raises(QuotaExceeded):
                await call(registry, "a")

    run_test(test())


def test_the_bound_on_bytes_holds_for_what_models_take(four: Path) -> None:
    """The first load of a model shows what it takes; a model that does not fit at all is refused for good."""

    async def test() -> None:
        async with loaded_registry(Settings(models=four, max_loaded_models=9)) as registry:
            with await registry.lease_or_wait("a") as model:
                one = model.memory_bytes
        async with loaded_registry(Settings(models=four, max_loaded_bytes=2 * one)) as registry:
            for name in "abcdba":
                await call(registry, name)
                assert len(_in_memory(registry)) <= 2
            assert _in_memory(registry) == "ab"
            with await registry.lease_or_wait("a"), await registry.lease_or_wait("b"):
                with pytest.raises(ModelNotReady, match="not loaded after"):
                    await call(registry, "c", seconds=0.5)
                assert _in_memory(registry) == "ab"
        async with loaded_registry(Settings(models=four, max_loaded_bytes=one - 1)) as registry:
            with pytest.raises(ModelNotReady, match=f"it takes {one} bytes, max_loaded_bytes is {one - 1}"):
                await call(registry, "a")

    run_test(test())


def test_a_cold_call_keeps_its_deadline_and_holds_up_no_hot_one(four: Path, held_loads: HeldLoads) -> None:
    """It fails after 80 % of its time. The load goes on, so the next call finds the model. Others answer meanwhile."""

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=four, max_loaded_models=2), metrics) as registry:
            await call(registry, "a")
            held_loads.holding = True
            began = time.monotonic()
            with pytest.raises(ModelNotReady, match="not loaded after"):
                await call(registry, "b", seconds=2.5)
            assert time.monotonic() - began < 2.5
            assert await call(registry, "a") == 1
            assert registry.probe("b") is None  # health and lists say that it is ready while it is being loaded
            assert ready(metrics, "b") == 1
            held_loads.go_on.set()
            assert await call(registry, "b") == 1

    run_test(test())


def test_many_callers_of_more_models_than_fit_are_all_answered(four: Path) -> None:
    """Two models fit and callers ask for four at once, again and again: no call fails, and never do three fit."""

    async def test() -> None:
        async with loaded_registry(Settings(models=four, max_loaded_models=2)) as registry:
            most = 0

            async def ask(name: str) -> None:
                nonlocal most
                for _ in range(5):
                    assert await call(registry, name) == 1
                    most = max(most, len(_in_memory(registry)))

            await asyncio.gather(*(ask(name) for name in _NAMES * 4))
            assert most <= 2

    run_test(test())


@pytest.mark.parametrize("is_hot", [False, True])
def test_a_new_version_of_a_model_in_use_is_loaded_and_of_a_cold_one_is_not(
    models: Path, write_model: WriteModel, is_hot: bool
) -> None:
    """A hot model stays hot when a version takes over. Either way the next call gets the new version."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        settings = Settings(models=models, max_loaded_models=5, linger_seconds=0)
        async with loaded_registry(settings, metrics) as registry:
            if is_hot:
                await call(registry, "affine")
            write_model("affine", 2)
            await registry.refresh()
            assert [(one.version, one.state) for one in registry.statuses()] == [
                (2, State.READY if is_hot else State.COLD)
            ]
            await until(lambda: ready(metrics, "affine", 1) is None)
            assert ready(metrics, "affine", 2) == 1
            assert await call(registry, "affine") == 2
            with pytest.raises(ModelNotFound):
                await call(registry, "affine", 1)

    run_test(test())


def test_a_cold_version_that_is_refused_leaves_the_one_before(models: Path, write_model: WriteModel) -> None:
    """The call that finds it broken is answered by the version before it, which is loaded in the same call."""
    write_model("affine", 1)
    write_model("affine", 2, spoil=cut_short)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models, max_loaded_models=1), metrics) as registry:
            assert await call(registry, "affine") == 1
            assert (ready(metrics, "affine", 1), ready(metrics, "affine", 2)) == (1, 0)
            await registry.scan()
            assert await call(registry, "affine") == 1

    run_test(test())


def test_removed_models_are_forgotten_and_new_ones_found(models: Path, write_model: WriteModel) -> None:
    """A scan looks at the names alone: a cold model without files is gone, and a new one may be called at once."""
    write_model("affine", name="old")

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models, max_loaded_models=1), metrics) as registry:
            (models / "old").rename(models / ".old")
            write_model("affine", name="new")
            assert await call(registry, "new") == 1  # it makes the server scan
            assert [one.name for one in registry.statuses()] == ["new"]
            assert ready(metrics, "old") is None

    run_test(test())


def test_callers_may_load_and_unload(four: Path) -> None:
    """A load brings a cold model into memory, an unload takes it away until the next load."""

    async def test() -> None:
        async with loaded_registry(Settings(models=four, max_loaded_models=2, allow_load=True)) as registry:
            await registry.load("a")
            assert _in_memory(registry) == "a"
            await registry.unload("a")
            await registry.unload("b")
            for name in "ab":
                with pytest.raises(ModelNotFound):
                    await call(registry, name)
            await registry.load("b")
            assert await call(registry, "b") == 1
            assert _in_memory(registry) == "b"

    run_test(test())


def test_a_drain_ends_readiness_of_cold_models_and_waiting_calls(four: Path, held_loads: HeldLoads) -> None:
    """A call that waits for a load fails at once, and no model counts as ready any more."""

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=four, max_loaded_models=2), metrics) as registry:
            held_loads.holding = True
            waiting: asyncio.Task[Any] = asyncio.create_task(call(registry, "a"))
            await asyncio.to_thread(held_loads.begun.wait)
            await registry.drain()
            with pytest.raises(Exception, match="stopping"):
                await waiting
            assert [ready(metrics, name) for name in _NAMES] == [None] * 4
            assert not registry.ready()

    run_test(test())

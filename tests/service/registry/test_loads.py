"""Concurrent loads: one that hangs, fails or lacks memory refuses its own version and harms no other."""

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import Draining, ModelNotReady
from service.metrics.metrics import Metrics
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.worker_versions import WorkerVersions
from service.registry.model.onnx_runtime import onnxruntime
from service.registry.registry import Registry, State
from service.settings import Settings
from tests.kit.models.repository import WriteModel, make_endless
from tests.kit.parts.registry import HeldLoads, loaded_registry, ready_versions
from tests.kit.waiting import run_test, until

ROWS = np.ones((1, 4), np.float32)


def brief_settings(models: Path, **more: Any) -> Settings:
    """Settings with short time limits."""
    return Settings(**{"models": models, "linger_seconds": 0, "max_load_seconds": 3, **more})


def state(registry: Registry, version: int) -> State:
    """The state of a version of "affine"."""
    return next(one.state for one in registry.statuses() if (one.name, one.version) == ("affine", version))


@pytest.mark.slow
def test_a_load_that_hangs_holds_up_no_other_model(models: Path, write_model: WriteModel) -> None:
    """The new version of another model is loaded. The one that hangs is refused, and its predecessor answers."""
    write_model("affine", 1)
    write_model("imputed", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(brief_settings(models), metrics) as registry:
            make_endless(write_model("affine", 2))
            await registry.scan()
            write_model("imputed", 2)
            await registry.scan()
            await until(lambda: "imputed/2" in ready_versions(registry))
            await until(lambda: state(registry, 2) is State.REFUSED)
            assert ready_versions(registry) == ["affine/1", "imputed/2"]
            labels = {"model": "affine", "version": "2", "reason": "slow"}
            assert metrics.registry.get_sample_value("kan_model_refused_total", labels) == 1
            write_model("affine", 3)
            assert await registry.refresh()
            assert ready_versions(registry) == ["affine/3", "imputed/2"]

    run_test(test())


@pytest.mark.slow
def test_after_a_restart_everything_else_answers_while_a_load_hangs(models: Path, write_model: WriteModel) -> None:
    """The server is ready for the other models. Once the load that hangs is refused, its predecessor is loaded."""
    write_model("affine", 1)
    make_endless(write_model("affine", 2))
    write_model("imputed", 1)

    async def test() -> None:
        metrics = Metrics()
        registry = Registry(brief_settings(models, max_load_seconds=6, poll_seconds=0.05), metrics)
        starting = asyncio.create_task(registry.load_all())
        await until(lambda: ready_versions(registry) == ["imputed/1"])
        await starting
        assert registry.ready()
        registry.watch(lambda: None)
        await until(lambda: ready_versions(registry) == ["affine/1", "imputed/1"])
        with registry.lease("affine") as model:
            assert (await model.batcher.submit(ROWS)).outputs[0].shape == (1, 1)
        labels = {"model": "affine", "version": "2", "reason": "slow"}
        assert metrics.registry.get_sample_value("kan_model_refused_total", labels) == 1
        await registry.close()

    run_test(test())


def test_a_slow_load_is_not_waited_for_while_another_model_answers(
    models: Path, write_model: WriteModel, held_loads: HeldLoads
) -> None:
    """A load is slow after a sixth of its time: `refresh` returns, and the load goes on."""
    write_model("imputed", 1)

    async def test() -> None:
        async with loaded_registry(brief_settings(models, max_load_seconds=3)) as registry:
            write_model("affine", 1)
            held_loads.holding = True
            assert not await registry.refresh()
            assert state(registry, 1) is State.LOADING
            held_loads.go_on.set()
            await until(lambda: ready_versions(registry) == ["affine/1", "imputed/1"])

    run_test(test())


def test_a_load_on_request_that_hangs_holds_up_no_look(models: Path, write_model: WriteModel) -> None:
    """Scans go on for other models. An unload ends the wait, with an error for the waiting call."""
    make_endless(write_model("affine", 1))
    write_model("imputed", 1)

    async def test() -> None:
        registry = Registry(brief_settings(models, max_load_seconds=600), Metrics())
        starting = asyncio.create_task(registry.load_all())
        await until(lambda: ready_versions(registry) == ["imputed/1"])
        loading = asyncio.create_task(registry.load("affine"))
        await asyncio.sleep(0)  # scans take turns in the order in which they are asked for: this load's comes first
        write_model("imputed", 2)
        await registry.scan()
        await until(lambda: ready_versions(registry) == ["imputed/2"])
        await registry.unload("affine")
        with pytest.raises(ModelNotReady, match="unloaded"):
            await loading
        await starting
        await registry.close()

    run_test(test())


def test_a_stop_ends_a_load_on_request(models: Path, write_model: WriteModel) -> None:
    """Its caller is told of the stop, though the previous version still answered."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(brief_settings(models, max_load_seconds=600)) as registry:
            make_endless(write_model("affine", 2))
            loading = asyncio.create_task(registry.load("affine"))
            await until(lambda: len(registry.statuses()) == 2)
            await registry.drain()
            with pytest.raises(Draining):
                await loading

    run_test(test())


def test_a_run_that_hangs_at_warm_up_ends_with_its_load(models: Path, write_model: WriteModel) -> None:
    """Its thread would keep a core busy for good."""
    make_endless(write_model("affine", 1))

    async def test() -> None:
        registry = Registry(brief_settings(models, max_load_seconds=0.5), Metrics())
        before = {thread.name for thread in threading.enumerate()}
        await registry.load_all()
        assert not registry.ready()
        await until(lambda: {thread.name for thread in threading.enumerate()} <= before)
        await registry.close()

    run_test(test())


@pytest.mark.parametrize("fault", [MemoryError("no room"), ValueError("told to fail"), OverflowError("too large")])
def test_whatever_a_load_raises_refuses_that_version_alone(
    models: Path,
    write_model: WriteModel,
    fault: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An unexpected error gives the reason. The other versions answer, and scans go on."""
    write_model("affine", 1)
    write_model("imputed", 1)

    async def test() -> None:
        async with loaded_registry(brief_settings(models, poll_seconds=0.01)) as registry:
            registry.watch(lambda: None)
            write_model("affine", 2)
            with monkeypatch.context() as patch:
                patch.setattr(onnxruntime, "SessionOptions", _raises(fault))
                await until(lambda: len(registry.statuses()) == 3 and state(registry, 2) is State.REFUSED)
            assert ready_versions(registry) == ["affine/1", "imputed/1"]
            assert registry.ready()
            (refused,) = [one for one in registry.statuses() if one.state is State.REFUSED]
            assert repr(fault) in refused.reason
            write_model("affine", 3)
            await until(lambda: "affine/3" in ready_versions(registry))

    with caplog.at_level(logging.INFO):
        run_test(test())
    assert "affine version 2 refused" in caplog.text


def _raises(fault: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise fault

    return fail


@pytest.mark.parametrize(
    "fault", [MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError("can't start new thread"), OSError(12, "")]
)
def test_a_version_for_which_there_was_no_memory_is_tried_again(
    models: Path, write_model: WriteModel, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause, and at once on a request to load it. Its files have not changed."""
    write_model("affine", 1)
    monkeypatch.setattr("service.registry.refusal._PAUSES_SECONDS", {"resources": (0.05, 0.05)})

    async def test() -> None:
        metrics = Metrics()
        registry = Registry(brief_settings(models, poll_seconds=0.01), metrics)
        with monkeypatch.context() as patch:
            patch.setattr(onnxruntime, "InferenceSession", _raises(fault))
            await registry.load_all()
            assert state(registry, 1) is State.REFUSED
            with pytest.raises(ModelNotReady, match="refused"):
                await registry.load("affine")
        labels = {"model": "affine", "version": "1", "reason": "resources"}
        assert metrics.registry.get_sample_value("kan_model_refused_total", labels) == 2
        registry.watch(lambda: None)
        await until(lambda: ready_versions(registry) == ["affine/1"])
        await registry.close()

    run_test(test())


def test_a_version_that_took_too_long_is_tried_again(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch, held_loads: HeldLoads
) -> None:
    """Other loads of a start may have slowed it down; its files have not changed."""
    write_model("affine", 1)
    monkeypatch.setattr("service.registry.refusal._PAUSES_SECONDS", {"slow": (0.05, 0.05)})

    async def test() -> None:
        registry = Registry(brief_settings(models, poll_seconds=0.01, max_load_seconds=0.5), Metrics())
        held_loads.holding = True
        await registry.load_all()
        held_loads.holding = False
        assert state(registry, 1) is State.REFUSED
        registry.watch(lambda: None)
        await until(lambda: ready_versions(registry) == ["affine/1"])
        await registry.close()

    run_test(test())


def test_a_version_whose_files_are_at_fault_is_not_tried_again(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a lack of resources can pass without a change of the files."""
    write_model("affine", 1)
    monkeypatch.setattr("service.registry.refusal._PAUSES_SECONDS", {"resources": (0.0, 0.0)})

    async def test() -> None:
        metrics = Metrics()
        registry = Registry(brief_settings(models), metrics)
        with monkeypatch.context() as patch:
            patch.setattr(onnxruntime, "InferenceSession", _raises(ValueError("no graph")))
            await registry.load_all()
        for _ in range(3):
            await registry.refresh()
        labels = {"model": "affine", "version": "1", "reason": "graph"}
        assert metrics.registry.get_sample_value("kan_model_refused_total", labels) == 1
        await registry.close()

    run_test(test())


def test_at_most_four_versions_load_at_once(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of many models is served in the end."""
    for number in range(12):
        write_model("affine", 1, name=f"model{number}")
    opening, most = 0, 0
    open_session = onnxruntime.InferenceSession

    def counted(*given: Any, **more: Any) -> Any:
        nonlocal opening, most
        opening += 1
        most = max(most, opening)
        try:
            return open_session(*given, **more)
        finally:
            opening -= 1

    async def test() -> None:
        monkeypatch.setattr(onnxruntime, "InferenceSession", counted)
        async with loaded_registry(brief_settings(models, max_load_seconds=60)) as registry:
            assert len(ready_versions(registry)) == 12

    run_test(test())
    assert most <= 4


def test_loads_that_wait_for_other_workers_hold_up_no_others(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that is open needs no slot while the other workers load it: the next one is opened."""
    names = [f"model{number}" for number in range(6)]
    for name in names:
        write_model("affine", 1, name=name)
    monkeypatch.setattr("service.registry.loader._LONGEST_PATIENCE_SECONDS", 1e6)

    async def test() -> None:
        told: list[dict[str, Any]] = []
        with closing(Flags()) as flags:
            versions = WorkerVersions(lambda **message: told.append(message), flags)
            registry = Registry(brief_settings(models, max_load_seconds=600), Metrics(), versions)
            loading = asyncio.create_task(registry.load_all())
            await until(lambda: {message["loaded"][0] for message in told if "loaded" in message} == {*names})
            assert ready_versions(registry) == []
            for name, version, _digest, number in [message["loaded"] for message in told if "loaded" in message]:
                versions.take({"serve": [name, version, number]})
            await loading
            assert ready_versions(registry) == [f"{name}/1" for name in names]
            await registry.close()

    run_test(test())

"""The registry with real repositories: which versions are served or refused, and how that is reported."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import Draining, ModelNotFound, ModelNotReady, StartupError
from service.metrics.metrics import Metrics
from service.registry.registry import Registry, State
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.batching import turns
from tests.kit.parts.registry import HeldLoads, loaded_registry
from tests.kit.server.gate import Gate
from tests.kit.waiting import run_test


def _sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    value: float | None = metrics.registry.get_sample_value(name, labels)
    return value


def _break(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"half")


def test_the_newest_version_of_each_model_is_served(models: Path, write_model: WriteModel) -> None:
    """One version a model, the newest by number; the answer says which."""
    for version in (1, 9, 10):
        write_model("affine", version)
    write_model("imputed", 3)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            with registry.lease("affine") as model:
                assert model.version == 10
                result = await model.batcher.submit(np.zeros((2, 4), np.float32))
                np.testing.assert_allclose(result.outputs[0], 0.5)
            with registry.lease("imputed", 3) as model:
                assert model.name == "imputed"
            statuses = [(status.name, status.version, status.state, status.latest) for status in registry.statuses()]
            assert statuses == [("affine", 10, State.READY, True), ("imputed", 3, State.READY, True)]
            assert registry.ready()

    run_test(test())


def test_a_broken_newest_version_leaves_the_one_before_and_is_seen(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    """The newest version that loads is served. Status, metric and log have the refused version and the reason."""
    write_model("affine", 1)
    write_model("affine", 2)
    _break(write_model("affine", 3))

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            with registry.lease("affine") as model:
                assert model.version == 2
            refused, ready = sorted(registry.statuses(), key=lambda status: status.state is State.READY)
            assert (refused.version, refused.state, refused.latest) == (3, State.REFUSED, False)
            assert "4 bytes" in refused.reason
            assert (ready.version, ready.reason, ready.latest) == (2, "", True)
            assert _sample(metrics, "kan_model_refused_total", model="affine", version="3", reason="checksum") == 1
            assert _sample(metrics, "kan_model_ready", model="affine", version="3") == 0
            assert _sample(metrics, "kan_model_ready", model="affine", version="2") == 1
            assert _sample(metrics, "kan_model_load_duration_seconds_count", model="affine") == 1
            assert registry.ready()
            with (
                pytest.raises(ModelNotReady, match="refused"),
                registry.lease("affine", 3),
            ):
                pass

    with caplog.at_level(logging.INFO):
        run_test(test())
    assert "affine version 3 refused: " in caplog.text
    assert "model affine version 2 ready" in caplog.text


def test_one_broken_model_does_not_turn_the_others_away(models: Path, write_model: WriteModel) -> None:
    """A model of which nothing loads is not ready; the server is, for the rest."""
    _break(write_model("affine"))
    write_model("imputed")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            with pytest.raises(ModelNotReady, match="refused"), registry.lease("affine"):
                pass
            with registry.lease("imputed") as model:
                assert model.version == 1
            assert registry.ready()

    run_test(test())


def test_when_nothing_loads_the_server_is_not_ready(models: Path, write_model: WriteModel) -> None:
    """Nothing but refused models is no readiness."""
    _break(write_model("affine"))

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        await registry.load_all()
        assert registry.unready_reason().startswith("no model is ready: affine version 1 was refused (")

    run_test(test())


def test_an_empty_repository_is_live_and_not_ready(models: Path) -> None:
    """No model means no error, no readiness, and a message for a request."""

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        assert registry.unready_reason() == "models are loading"
        await registry.load_all()
        assert not registry.ready()
        assert registry.statuses() == []
        assert "holds nothing" in registry.no_versions_reason
        with pytest.raises(ModelNotFound, match="none"), registry.lease("affine"):
            pass
        await registry.drain()
        await registry.close()

    run_test(test())


def test_an_unknown_name_or_version_lists_what_there_is(models: Path, write_model: WriteModel) -> None:
    """The message helps, and stays short however long the name."""
    write_model("affine", 2)
    write_model("imputed", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            with (
                pytest.raises(ModelNotFound, match="affine, imputed"),
                registry.lease("afine"),
            ):
                pass
            with pytest.raises(ModelNotFound, match="no version 1"), registry.lease("affine", 1):
                pass
            with pytest.raises(ModelNotFound) as caught, registry.lease("x" * 10_000):
                pass
            assert len(str(caught.value)) < 300

    run_test(test())


def test_while_loading_a_model_is_not_ready(gate: Gate, models: Path, write_model: WriteModel) -> None:
    """Between listing and warm up a model answers UNAVAILABLE, not NOT_FOUND, whether the scan found it or not."""
    write_model("slow")

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        with gate.closed():
            loading = asyncio.create_task(registry.load_all())
            while not registry.statuses():  # noqa: ASYNC110 - the registry has no event for this, and needs none
                await asyncio.sleep(0)
            assert registry.statuses()[0].state is State.LOADING
            with pytest.raises(ModelNotReady, match="loading"), registry.lease("slow"):
                pass
            with pytest.raises(ModelNotReady, match="loading"):
                registry.lease("absent")
            assert registry.unready_reason() == "models are loading"
        await loading
        assert registry.ready()
        await registry.close()

    run_test(test())


def test_before_the_repository_was_read_nothing_is_unknown(models: Path, write_model: WriteModel) -> None:
    """A server that just started answers UNAVAILABLE, which clients repeat, and never NOT_FOUND.

    A request begins no scan of its own.
    """
    write_model("affine")

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        for name in ("affine", "absent"):
            with pytest.raises(ModelNotReady, match="loading"):
                await registry.lease_or_wait(name)
        assert registry.statuses() == []
        await registry.load_all()
        with pytest.raises(ModelNotFound):
            registry.lease("absent")
        await registry.close()

    run_test(test())


def test_a_broken_batcher_takes_readiness_with_it(models: Path, write_model: WriteModel) -> None:
    """Probe, status and metric show a model whose batcher broke, and leases of it fail."""
    write_model("slow")

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            with registry.lease("slow") as model:
                model._executor.shutdown()
                with pytest.raises(Exception, match="shutdown"):
                    await model.batcher.submit(np.zeros((1, 4), np.float32))
            assert "its batcher broke" in registry.unready_reason()
            status = registry.statuses()[0]
            assert (status.state, status.reason) == (State.REFUSED, "its batcher broke")
            assert _sample(metrics, "kan_model_ready", model="slow", version="1") == 0
            with pytest.raises(ModelNotReady, match="batcher broke"), registry.lease("slow"):
                pass

    run_test(test())


def test_a_superseded_version_that_breaks_takes_no_readiness_with_it(models: Path, write_model: WriteModel) -> None:
    """It answers no more, but requests without a version number are answered by the new one."""
    write_model("slow", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            write_model("slow", 2)
            await registry.refresh()
            with registry.lease("slow", 1) as model:
                model._executor.shutdown()
                with pytest.raises(Exception, match="shutdown"):
                    await model.batcher.submit(np.zeros((1, 4), np.float32))
            assert [status.state for status in registry.statuses()] == [State.REFUSED, State.READY]
            assert registry.unready_reason() == ""

    run_test(test())


def test_a_drain_is_reported(models: Path, write_model: WriteModel) -> None:
    """The callback of `watch` learns of it at once, because health answers follow it."""
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600)) as registry:
            reasons: list[str] = []
            registry.watch(lambda: reasons.append(registry.unready_reason()))
            await registry.drain()
            assert reasons == ["draining"]

    run_test(test())


@pytest.mark.parametrize("unloaded", [False, True])
def test_drain_loses_nothing_that_was_accepted(
    gate: Gate, models: Path, write_model: WriteModel, answer: Callable[..., Any], unloaded: bool
) -> None:
    """At drain() readiness ends at once, accepted rows are answered, new rows are refused.

    The same holds for a version that was unloaded before and still has rows.
    """
    write_model("slow")
    write_model("affine")

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            rows = np.random.default_rng(1).normal(size=(100, 4)).astype(np.float32)
            with registry.lease("slow") as slow:
                with gate.closed():
                    accepted = [asyncio.create_task(slow.batcher.submit(rows)) for _ in range(3)]
                    await asyncio.sleep(0)
                    if unloaded:
                        await registry.unload("slow")
                    drain = asyncio.create_task(registry.drain())
                    # One turn turns readiness off, the next reaches the batchers.
                    await asyncio.sleep(0)
                    assert (registry.draining, registry.unready_reason()) == (True, "draining")
                    await asyncio.sleep(0)
                    assert _sample(metrics, "kan_model_ready", model="slow", version="1") == 0
                    with pytest.raises(Draining):
                        await slow.batcher.submit(rows)
                    assert not any(task.done() for task in accepted)
                await drain
                assert all(task.done() for task in accepted)
                for task in accepted:
                    np.testing.assert_allclose((await task).outputs[0], answer("slow", rows), rtol=1e-4, atol=1e-6)

    run_test(test())


def test_a_close_ends_every_model(models: Path, write_model: WriteModel) -> None:
    """No drain came before it: a model takes no rows any more."""
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            with registry.lease("affine") as model:
                pass
        with pytest.raises(Draining):
            await model.batcher.submit(np.zeros((1, 4), np.float32))

    run_test(test())


def test_a_close_ends_loads_before_it_ends_models(
    gate: Gate, models: Path, write_model: WriteModel, held_loads: HeldLoads
) -> None:
    """Otherwise a load could end while it waits for the run of a model, and the new model would stay open."""
    write_model("slow")

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        await registry.load_all()
        write_model("affine")
        held_loads.holding = True
        await registry.scan()
        await asyncio.to_thread(held_loads.begun.wait)
        with registry.lease("slow") as slow, gate.closed():
            running = asyncio.create_task(slow.batcher.submit(np.zeros((1, 4), np.float32)))
            await turns()
            closing = asyncio.create_task(registry.close())
            await turns()
            await held_loads.end_in_next_turn()
            await turns()
            assert not closing.done()
            assert {one.name: one.state for one in registry.statuses()}["affine"] is State.LOADING
        await closing
        await running

    run_test(test())


def test_settings_that_cannot_work_stop_the_start(models: Path) -> None:
    """A wrong folder is an error at start; so is CUDA that is absent, even with nothing to load."""
    from service.registry.model.onnx_runtime import onnxruntime

    async def test() -> None:
        with pytest.raises(StartupError, match="absent"):
            await Registry(Settings(models=models / "absent"), Metrics()).load_all()
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            with pytest.raises(StartupError, match="cuda"):
                await Registry(Settings(models=models, provider="cuda"), Metrics()).load_all()

    run_test(test())


@pytest.mark.filterwarnings("ignore:Specified provider 'CUDAExecutionProvider':UserWarning")
def test_a_provider_that_fails_at_the_first_load_stops_the_start(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example onnxruntime knows CUDA, but finds no GPU: a server on the CPU would be too slow without a word."""
    from service.registry.model.onnx_runtime import onnxruntime

    write_model("affine")
    known = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: known)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **_: None)

    async def test() -> None:
        with pytest.raises(StartupError, match="cuda"):
            await Registry(Settings(models=models, provider="cuda"), Metrics()).load_all()

    run_test(test())


def test_a_version_is_leased_until_its_last_block_ends(models: Path, write_model: WriteModel) -> None:
    """Blocks inside one another, one of which fails: a model that is unloaded answers until the last of them ends."""
    write_model("affine")

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        await registry.load_all()
        rows = np.zeros((1, 4), np.float32)
        with registry.lease("affine") as outer:
            with suppress(KeyError), registry.lease("affine", 1) as inner:
                assert inner is outer
                await registry.unload("affine")
                raise KeyError
            with pytest.raises(ModelNotFound):
                registry.lease("affine")
            assert len((await outer.batcher.submit(rows)).outputs[0]) == 1
        await registry.close()
        with pytest.raises(Draining):
            await outer.batcher.submit(rows)

    asyncio.run(test())


def test_a_version_that_is_refused_while_an_old_lease_runs_stays_told(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Unloaded, changed and loaded again: the late close of the old object does not end the alert for the refusal."""
    folder = write_model("affine")

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            with registry.lease("affine"):
                await registry.unload("affine")
                _break(folder)
                with pytest.raises(ModelNotReady):
                    await registry.load("affine")
            while "model affine version 1 closed" not in caplog.text:  # noqa: ASYNC110 - it is told to nobody
                await asyncio.sleep(0)
            assert _sample(metrics, "kan_model_ready", model="affine", version="1") == 0

    with caplog.at_level(logging.INFO):
        run_test(test())

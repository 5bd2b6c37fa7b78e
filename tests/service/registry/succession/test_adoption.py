"""Models take other settings: all of them, or none; a lease keeps the model that it got."""

import asyncio
import gc
import shutil
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import SettingsError
from service.metrics.drift.served_rows import ServedRows
from service.metrics.metrics import Metrics
from service.registry.model.onnx_runtime import onnxruntime
from service.registry.registry import Registry
from service.registry.succession import adoption
from service.settings import ModelTable, Settings
from tests.kit.models.repository import WriteModel, read_manifest, write_manifest
from tests.kit.parts.registry import HeldLoads, loaded_registry, ready_versions
from tests.kit.waiting import run_test, until

_ROWS = np.ones((1, 4), np.float32)


def _settings(models: Path, **tables: Any) -> Settings:
    return Settings(models=models, tables={name: ModelTable.model_validate(table) for name, table in tables.items()})


def _batch_rows(registry: Registry, *names: str) -> list[int]:
    found = []
    for name in names:
        with registry.lease(name) as model:
            found.append(model.batcher.max_batch_rows)
    return found


def test_a_model_is_made_anew_only_if_its_runs_change(models: Path, write_model: WriteModel) -> None:
    """Priority, quota and deadline change in place; more rows a run make another model, of that name alone."""
    for name in ("affine", "imputed"):
        write_model(name)

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            with registry.lease("affine") as before, registry.lease("imputed") as other:
                await registry.adopt(_settings(models, affine={"priority": 3, "quota_rows_per_second": 9}))
                with registry.lease("affine") as same:
                    assert same is before
                    assert same.submit != same.batcher.submit
                await registry.adopt(_settings(models, affine={"max_batch_rows": 7}))
                with registry.lease("affine") as after, registry.lease("imputed") as unchanged:
                    assert after is not before
                    assert after.batcher.max_batch_rows == 7
                    assert unchanged is other
                    assert after.submit == after.batcher.submit

    run_test(test())


def test_a_lease_outlives_the_change(models: Path, write_model: WriteModel) -> None:
    """A request that has the old model is answered by it; the old one is closed after that, and freed."""
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            with registry.lease("affine") as before:
                await registry.adopt(_settings(models, affine={"max_batch_rows": 7}))
                assert len((await before.submit(_ROWS)).outputs[0]) == 1
                assert ready_versions(registry) == ["affine/1"]
                closed = weakref.ref(before)
            del before

            def is_freed() -> bool:
                gc.collect()
                return closed() is None

            await until(is_freed)
            assert _batch_rows(registry, "affine") == [7]

    run_test(test())


def test_one_model_that_cannot_refuses_all(models: Path, write_model: WriteModel, held_loads: HeldLoads) -> None:
    """The second of two models fails to load: both answer as before, and the metrics say so."""
    metrics = Metrics()
    for name in ("affine", "imputed"):
        write_model(name)

    async def test() -> None:
        async with loaded_registry(_settings(models), metrics) as registry:
            new = _settings(models, affine={"max_batch_rows": 7}, imputed={"max_batch_rows": 9})
            (models / "imputed" / "1" / "model.onnx").write_bytes(b"half")
            with pytest.raises(SettingsError, match="model imputed version 1 cannot run with them"):
                await registry.adopt(new)
            assert _batch_rows(registry, "affine", "imputed") == [512, 512]
            held_loads.holding, held_loads.fault = True, MemoryError("no room")
            held_loads.go_on.set()
            with pytest.raises(SettingsError, match="no room"):
                await registry.adopt(_settings(models, affine={"max_batch_rows": 7}))
            assert _batch_rows(registry, "affine", "imputed") == [512, 512]
            assert metrics.model("affine", "1").batch_limit_rows == 512
            assert registry.ready()

    run_test(test())


def test_a_version_that_loads_meanwhile_has_the_new_settings(
    models: Path, write_model: WriteModel, held_loads: HeldLoads
) -> None:
    """A load began before the change and ends after it."""
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            write_model("imputed")
            held_loads.holding = True
            scan = asyncio.create_task(registry.refresh())
            await asyncio.to_thread(held_loads.begun.wait, 60)
            await registry.adopt(_settings(models, imputed={"max_batch_rows": 5}))
            held_loads.go_on.set()
            await scan
            assert _batch_rows(registry, "imputed") == [5]

    run_test(test())


def test_a_version_that_is_replaced_meanwhile_is_no_harm(
    models: Path, write_model: WriteModel, held_loads: HeldLoads
) -> None:
    """While the model is made anew, another version takes over: that one runs with the new settings."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            held_loads.holding = True
            adopting = asyncio.create_task(registry.adopt(_settings(models, affine={"max_batch_rows": 5})))
            await asyncio.to_thread(held_loads.begun.wait, 60)
            held_loads.holding = False
            write_model("affine", 2)
            await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]
            held_loads.go_on.set()
            await adopting
            assert ready_versions(registry) == ["affine/2"]
            assert _batch_rows(registry, "affine") == [5]

    run_test(test())


def test_a_superseded_version_that_is_wanted_again_has_the_new_settings(models: Path, write_model: WriteModel) -> None:
    """It lingers with the settings that it was made for; before it is ready again it is loaded anew."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            newest = write_model("affine", 2)
            await registry.refresh()
            await registry.adopt(_settings(models, affine={"max_batch_rows": 5, "versions": "latest:2"}))
            await until(lambda: ready_versions(registry) == ["affine/1", "affine/2"])
            with registry.lease("affine", 1) as model:
                assert model.batcher.max_batch_rows == 5
            await registry.adopt(_settings(models, affine={"max_batch_rows": 5, "versions": "latest"}))
            await registry.adopt(_settings(models, affine={"max_batch_rows": 6, "versions": "latest"}))
            shutil.rmtree(newest)
            await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]
            assert _batch_rows(registry, "affine") == [6]

    run_test(test())


def test_a_refused_version_is_tried_again(models: Path, write_model: WriteModel) -> None:
    """A table had asked for what the version cannot do; without it the version answers."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(_settings(models, affine={"unknown_ground": "refuse"})) as registry:
            assert ready_versions(registry) == []
            await registry.adopt(_settings(models))
            await until(lambda: ready_versions(registry) == ["affine/1"])

    run_test(test())


def test_an_adoption_that_is_cancelled_changes_nothing(
    models: Path, write_model: WriteModel, held_loads: HeldLoads
) -> None:
    """The server stops while a model is made anew."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            held_loads.holding = True
            adopting = asyncio.create_task(registry.adopt(_settings(models, affine={"max_batch_rows": 5})))
            await asyncio.to_thread(held_loads.begun.wait, 60)
            adopting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adopting
            held_loads.go_on.set()
            assert _batch_rows(registry, "affine") == [512]

    run_test(test())


def _value(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"model": "affine", "version": "1"})


def test_the_old_model_says_no_more_whether_the_version_answers(models: Path, write_model: WriteModel) -> None:
    """The batcher of the old model breaks, or moves, while a lease still holds it: the new one answers as it did."""
    metrics = Metrics()
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(_settings(models), metrics) as registry:
            with registry.lease("affine") as old:
                await registry.adopt(_settings(models, affine={"max_batch_rows": 7}))
                inline = _value(metrics, "kan_model_inline")
                assert inline is not None
                old.batcher._observer.placed(inline=not inline)
                assert _value(metrics, "kan_model_inline") == inline
                old.batcher._die(RuntimeError("a fault"))
                assert registry.ready()
                assert _value(metrics, "kan_model_ready") == 1
                assert _value(metrics, "kan_model_inline") == inline
            with registry.lease("affine") as new:
                new.batcher._die(RuntimeError("a fault"))
            assert _value(metrics, "kan_model_ready") == 0

    run_test(test())


def test_rows_that_wait_in_both_models_are_added(models: Path, write_model: WriteModel) -> None:
    """The old model's last rows leave its queue; those in the queue of the new one are still shown."""
    metrics = Metrics()
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(_settings(models), metrics) as registry:
            with registry.lease("affine") as old:
                await registry.adopt(_settings(models, affine={"max_batch_rows": 7}))
                with registry.lease("affine") as new:
                    for model, rows, shown in ((old, 3, 3), (new, 2, 5), (old, 0, 2), (new, 0, 0)):
                        model.batcher._observer.queued(rows)
                        assert _value(metrics, "kan_queue_rows") == shown

    run_test(test())


def test_a_version_whose_files_have_changed_is_not_made_anew(models: Path, write_model: WriteModel) -> None:
    """Another manifest under the same number would take over unchecked: the change of settings is refused.

    The counts of rows by cell stay those of the model that answers.
    """
    metrics = Metrics()
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(_settings(models), metrics) as registry:
            with registry.lease("affine") as before:
                served = before.metrics.served = ServedRows(lambda: ((), ()), 4, before.manifest)
                manifest = read_manifest(models / "affine" / "1")
                manifest.features[0].high = 7
                write_manifest(models / "affine" / "1", manifest)
                with pytest.raises(SettingsError, match=r"affine version 1 .* its files have changed; wanted"):
                    await registry.adopt(_settings(models, affine={"max_batch_rows": 7}))
                assert before.metrics.served is served
            assert _batch_rows(registry, "affine") == [512]
            await registry.unload("affine")
            await registry.load("affine")
            assert _batch_rows(registry, "affine") == [512]
            with registry.lease("affine") as after:
                assert after.manifest == manifest

    run_test(test())


def test_files_that_are_gone_are_named(models: Path, write_model: WriteModel) -> None:
    """The operator reads which model keeps the settings from being taken, and what to do; an unload helps."""
    write_model("affine")
    write_model("imputed")

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            shutil.rmtree(models / "affine")
            both = _settings(models, affine={"max_batch_rows": 7}, imputed={"max_batch_rows": 9})
            with pytest.raises(SettingsError, match=r"model affine version 1 .*: its files are gone, put them back or"):
                await registry.adopt(both)
            await registry.unload("affine")
            await registry.adopt(both)
            assert _batch_rows(registry, "imputed") == [9]

    run_test(test())


def test_settings_that_change_twice_during_a_load_are_those_of_the_last_change(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They change during the load, and again while the model is opened for the first change."""
    write_model("affine")
    write_model("imputed", 2)
    opened, changes = onnxruntime.InferenceSession, iter((5, 6))

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            loop = asyncio.get_running_loop()

            def open_session(*given: Any, **more: Any) -> Any:
                rows = next(changes, None)
                if rows is not None:
                    changed = registry.adopt(_settings(models, affine={"max_batch_rows": rows}))
                    asyncio.run_coroutine_threadsafe(changed, loop).result(60)
                return opened(*given, **more)

            await registry.unload("affine")
            with monkeypatch.context() as patch:
                patch.setattr(onnxruntime, "InferenceSession", open_session)
                await registry.load("affine")
            assert _batch_rows(registry, "affine") == [6]

    run_test(test())


def test_a_search_that_hangs_is_waited_for_in_bounded_time(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that other workers wait for ends with a reason. After the search it may be made again."""
    write_model("affine")
    monkeypatch.setattr(adoption, "_LONGEST_SCAN_SECONDS", 0.01)

    async def test() -> None:
        async with loaded_registry(_settings(models)) as registry:
            go_on, list_models = asyncio.Event(), registry._source.list_models

            async def hang(**given: bool) -> Any:
                await go_on.wait()
                return await list_models(**given)

            with monkeypatch.context() as patch:
                patch.setattr(registry._source, "list_models", hang)
                scanning = asyncio.create_task(registry.scan())
                await asyncio.sleep(0)
                with pytest.raises(SettingsError, match=r"has not ended for 0\.01 s; repair its storage"):
                    await registry.adoption.prepare(_settings(models))
                go_on.set()
                await scanning
            prepared = await registry.adoption.prepare(_settings(models))
            await registry.adoption.end(prepared)
            await registry.scan()

    run_test(test())


@pytest.mark.parametrize("is_taken", [True, False])
def test_the_time_of_a_version_does_not_end_before_it_takes_over(
    models: Path, write_model: WriteModel, is_taken: bool
) -> None:
    """Other workers may still prepare while it ends. If the settings are refused it ends after that."""
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(Settings(models=models, linger_seconds=0.5)) as registry:
            with registry.lease("affine") as first:
                write_model("affine", version=2)
                await registry.refresh()
                wanted = Settings(models=models, linger_seconds=0.5, tables={"affine": ModelTable(versions="1")})
                prepared = await registry.adoption.prepare(wanted)
                assert prepared.successors == {"affine": 1}
                ended = asyncio.Event()
                asyncio.get_running_loop().call_later(0.6, ended.set)
                await ended.wait()
                registry.adoption.arm(prepared.successors, lambda: True)
                with registry.lease("affine") as armed:
                    assert armed is first
                if is_taken:
                    registry.adoption.commit(prepared, prepared.successors)
                await registry.adoption.end(prepared)
                if not is_taken:
                    await until(lambda: not registry._entries.of("affine").get(1))
            assert ready_versions(registry) == [f"affine/{1 if is_taken else 2}"]

    run_test(test())

"""Two registries of one process that agree by a real parent's side: what a worker does when it is ordered."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.errors import ModelNotFound, ModelNotReady, SettingsError, StartupError, StorageError
from service.process.workers.agreement.agreements import Agreements
from service.process.workers.agreement.flags import Flags
from service.registry.model.onnx_runtime import onnxruntime
from service.settings import ModelTable, Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.agreeing import Worker, two_workers
from tests.kit.parts.registry import HeldLoads
from tests.kit.waiting import run_test, until


def settings(models: Path, **table: Any) -> Settings:
    """Settings with a table of the model."""
    return Settings(models=models, tables={"affine": ModelTable.model_validate(table)})


def test_a_change_is_in_force_in_both(models: Path, write_model: WriteModel) -> None:
    """Once `adopt` returns, and scans of the repository go on after it."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, second):
            await agreements.settings.adopt(settings(models, max_batch_rows=7))
            assert (first.batch_rows(), second.batch_rows()) == (7, 7)
            write_model("affine", version=2)
            await asyncio.gather(first.registry.refresh(), second.registry.refresh())
            assert (first.latest(), second.latest(), first.batch_rows()) == (2, 2, 7)

    run_test(check())


def test_a_model_that_cannot_be_loaded_so_changes_nothing(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is told, both answer as before, and the next change is taken."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, second):
            held = HeldLoads(monkeypatch)
            held.holding, held.fault = True, MemoryError("no room")
            held.go_on.set()
            with pytest.raises(SettingsError, match="no room"):
                await agreements.settings.adopt(settings(models, max_batch_rows=7))
            assert (first.batch_rows(), second.batch_rows()) == (512, 512)
            held.fault = None
            await agreements.settings.adopt(settings(models, max_batch_rows=7))
            assert (first.batch_rows(), second.batch_rows()) == (7, 7)

    run_test(check())


@pytest.mark.parametrize("is_loaded", [True, False])
def test_an_older_version_takes_over_in_both(models: Path, write_model: WriteModel, is_loaded: bool) -> None:
    """Whether both still have it, or only one of them: then that one loads it again."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, second):
            write_model("affine", version=2)
            await asyncio.gather(first.registry.refresh(), second.registry.refresh())
            if not is_loaded:
                lingering = second.registry._entries.of("affine")[1]
                second.registry._succession.retire(lingering, "a test wants it")
            await agreements.settings.adopt(settings(models, versions="1"))
            if is_loaded:
                assert (first.latest(), second.latest()) == (1, 1)
            await until(lambda: (first.latest(), second.latest()) == (1, 1))
            await agreements.settings.adopt(settings(models, versions="latest"))
            await until(lambda: (first.latest(), second.latest()) == (2, 2))

    run_test(check())


def test_a_version_that_takes_over_with_settings_of_its_own_does_so_once(models: Path, write_model: WriteModel) -> None:
    """Its model is made anew for them. Both answer with it from the flag on, and so does a worker that starts."""
    for version in (1, 2):
        write_model("affine", version=version)

    async def check() -> None:
        async with two_workers(models, tables={"affine": ModelTable(versions="all")}) as (agreements, first, second):
            await agreements.settings.adopt(settings(models, versions="1", max_batch_rows=7))
            for worker in (first, second):
                assert (worker.latest(), worker.batch_rows()) == (1, 7)
            with closing(Flags()) as flags:
                late = Worker(agreements, flags)
                await late.start(agreements)
                agreements.remove(late.member)
                await late.orders.close()
                await late.registry.close()

    run_test(check())


def test_a_version_that_waits_for_the_others_is_loaded_again(models: Path, write_model: WriteModel) -> None:
    """It was made for the settings before. It takes over with the new ones, in both."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, second):
            write_model("affine", version=2)
            loading = asyncio.create_task(first.registry.refresh())
            await until(lambda: ("affine", 2) in first.member.loads)
            await agreements.settings.adopt(settings(models, max_batch_rows=7))
            assert first.latest() == 1
            await asyncio.gather(loading, second.registry.refresh())
            assert (first.latest(), second.latest()) == (2, 2)
            assert (first.batch_rows(), second.batch_rows()) == (7, 7)

    run_test(check())


def test_a_worker_that_starts_takes_what_it_missed(models: Path, write_model: WriteModel) -> None:
    """An order comes before its registry is there: it is carried out then. One that it cannot take makes it leave."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, _):
            with closing(Flags()) as flags:
                late = Worker(agreements, flags)
                await agreements.settings.adopt(settings(models, max_batch_rows=7))
                await late.start(agreements)
                assert late.batch_rows() == 7
                agreements.remove(late.member)
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(onnxruntime, "InferenceSession", None)
                    late.orders.take(9, "adopt", 9, settings(models, max_batch_rows=3).model_dump_json(), {})
                    await until(lambda: bool(late.left))
                assert "cannot take the settings in force" in late.left[0]
                await late.orders.close()
                await late.registry.close()
                assert first.batch_rows() == 7

    run_test(check())


def test_a_worker_that_starts_arms_what_it_would_do_itself(models: Path, write_model: WriteModel) -> None:
    """The others go back to version 1 with the settings; it has found version 2, which takes over in it at no time."""
    for version in (1, 2):
        write_model("affine", version=version)

    async def check() -> None:
        given = settings(models, versions="all")
        with closing(Flags()) as flags:
            agreements = Agreements(given, flags)
            late = Worker(agreements, flags)
            await late.registry.load_all()
            place, text = flags.new(), given.model_dump_json(exclude_none=True)
            for number, order in enumerate([("prepare", 1, text), ("arm", place, {"affine": 1})]):
                late.orders.take(number, *order)
                await until(lambda: not late.orders._tasks)
            flags.set(place)
            assert late.latest() == 2
            late.orders.take(2, "adopt", 1, text, {"affine": 1})
            await until(lambda: late.member.settings == 1)
            assert late.latest() == 2
            await late.orders.close()
            await late.registry.close()

    run_test(check())


def test_a_load_reaches_both_and_so_does_an_unload(models: Path, write_model: WriteModel) -> None:
    """Whichever is asked. An error is the one of a load here. The parent remembers what is unloaded for a start."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, second):
            await first.registry.unload("affine")
            for worker in (first, second):
                with pytest.raises(ModelNotFound):
                    worker.latest()
            assert agreements.given().unloaded == ["affine"]
            with pytest.raises(ModelNotFound, match="no version of model 'absent' to load"):
                await second.registry.load("absent")
            write_model("affine", version=2)
            await second.registry.load("affine")
            assert (first.latest(), second.latest()) == (2, 2)
            assert agreements.given().unloaded == []

    run_test(check())


def test_a_load_and_an_unload_that_a_starting_worker_missed_wait_for_nobody(
    models: Path, write_model: WriteModel
) -> None:
    """The others have done both when it carries them out: its load waits for them in vain, until the unload."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, _):
            await first.registry.unload("affine")
            with closing(Flags()) as flags:
                late = Worker(agreements, flags)
                await first.registry.load("affine")
                await first.registry.unload("affine")
                await late.start(agreements)
                await late.orders.close()
                await late.registry.close()

    run_test(check())


@pytest.mark.parametrize("broken", ["read_version", "list_models"])
@pytest.mark.parametrize("is_unloaded", [False, True])
def test_a_load_ends_if_a_worker_cannot_read(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch, broken: str, is_unloaded: bool
) -> None:
    """The version or the repository: the caller gets the reason, and the next load may succeed."""
    write_model("affine")

    async def fail(*_: Any) -> None:
        raise StorageError("the disk is gone")

    async def check() -> None:
        async with two_workers(models) as (_, first, second):
            if is_unloaded:
                await first.registry.unload("affine")
            else:
                write_model("affine", version=2)
            with monkeypatch.context() as patch:
                patch.setattr(second.registry._source, broken, fail)
                if broken == "read_version" and not is_unloaded:
                    await first.registry.load("affine")
                    assert (first.latest(), second.latest()) == (1, 1)
                else:
                    with pytest.raises((StartupError, ModelNotReady), match="the disk is gone"):
                        await first.registry.load("affine")
            await first.registry.load("affine")
            assert (first.latest(), second.latest()) == ((1, 1) if is_unloaded else (2, 2))

    run_test(check())


def test_a_load_waits_for_a_worker_that_failed_before(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quicker worker does not take the refusal of the load before for one of this load."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (_, first, second):
            write_model("affine", version=2)
            source, list_models = second.registry._source, second.registry._source.list_models

            async def fail(*_: Any) -> None:
                raise StorageError("the disk is gone")

            async def list_late() -> Any:
                await until(lambda: ("affine", 2) in first.member.loads)
                return await list_models()

            with monkeypatch.context() as patch:
                patch.setattr(source, "read_version", fail)
                await first.registry.load("affine")
            with monkeypatch.context() as patch:
                patch.setattr(source, "list_models", list_late)
                await first.registry.load("affine")
            assert (first.latest(), second.latest()) == (2, 2)

    run_test(check())


def test_a_worker_that_stops_leaves_orders_to_the_others(models: Path, write_model: WriteModel) -> None:
    """It is not told to leave once more, which would end its calls: the other takes settings and loads."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, second):
            await second.registry.drain()
            await agreements.settings.adopt(settings(models, max_batch_rows=7))
            assert (first.batch_rows(), second.left) == (7, [])
            await first.registry.load("affine")

    run_test(check())


def test_a_load_that_no_setting_wants_any_more_is_given_up(models: Path, write_model: WriteModel) -> None:
    """It waited for a worker that never loads it, and a caller's load of the model would wait for it."""
    write_model("affine")

    async def check() -> None:
        async with two_workers(models) as (agreements, first, second):
            write_model("affine", version=2)
            await first.registry.scan()
            await until(lambda: ("affine", 2) in first.member.loads)
            await agreements.settings.adopt(settings(models, versions="1"))
            await second.registry.load("affine")
            assert (first.latest(), second.latest()) == (1, 1)
            assert set(first.registry._entries.of("affine")) == {1}

    run_test(check())

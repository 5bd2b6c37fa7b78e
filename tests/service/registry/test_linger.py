"""Superseded versions that still answer by number for a while, and calls that wait for a version being loaded."""

import asyncio
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from service.errors import Draining, ModelNotFound, ModelNotReady
from service.metrics.metrics import Metrics
from service.registry.registry import Registry, State
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import HeldLoads, loaded_registry
from tests.kit.waiting import run_test

ROWS = np.ones((1, 4), np.float32)


def states(registry: Registry) -> dict[int, State]:
    """The state of each version of "affine"."""
    return {one.version: one.state for one in registry.statuses() if one.name == "affine"}


async def answers(registry: Registry, version: int | None) -> int:
    """Ask a version for an answer; gives the version that answered."""
    with await registry.lease_or_wait("affine", version) as model:
        assert (await model.batcher.submit(ROWS)).outputs[0].shape == (1, 1)
        return model.version


def test_a_superseded_version_answers_by_its_number_for_a_while(models: Path, write_model: WriteModel) -> None:
    """Its folder may be removed. Requests without a number get the new version. Later the old one is closed."""
    folder = write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models, linger_seconds=2.0), metrics) as registry:
            write_model("affine", 2)
            shutil.rmtree(folder)
            await registry.refresh()
            assert states(registry) == {1: State.LINGERING, 2: State.READY}
            assert await answers(registry, 1) == 1
            assert await answers(registry, None) == 2
            before = asyncio.all_tasks()
            while 1 in states(registry):  # noqa: ASYNC110 - a timer of the registry's
                await asyncio.sleep(0.01)
            begun = asyncio.all_tasks() - before
            await asyncio.gather(*(task for task in begun if task.get_name().startswith("retire")))
            assert metrics.registry.get_sample_value("kan_model_ready", {"model": "affine", "version": "1"}) is None
            with pytest.raises(ModelNotFound, match="no version 1"):
                await registry.lease_or_wait("affine", 1)

    run_test(test())


def test_versions_that_linger_hold_bounded_memory(models: Path, write_model: WriteModel) -> None:
    """There is room for two: the oldest is closed first, and without any room all are closed."""
    write_model("affine", 1)

    async def test(room: float, left: list[int]) -> None:
        registry = Registry(Settings(models=models, linger_bytes=0), Metrics())
        await registry.load_all()
        with registry.lease("affine") as model:
            held = model.memory_bytes
        await registry.close()
        registry = Registry(Settings(models=models, linger_bytes=int(room * held)), Metrics())
        await registry.load_all()
        for version in (2, 3, 4):
            write_model("affine", version)
            await registry.refresh()
        assert states(registry) == {**dict.fromkeys(left, State.LINGERING), 4: State.READY}
        await registry.close()
        for version in (2, 3, 4):
            shutil.rmtree(models / "affine" / str(version))

    run_test(test(2.5, [2, 3]))
    run_test(test(1.5, [3]))
    run_test(test(0.5, []))


def test_the_way_back_acts_at_once(models: Path, write_model: WriteModel) -> None:
    """The folder of the newest version is removed: it answers no more, and the previous one needs no new load."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            newest = write_model("affine", 2)
            await registry.refresh()
            shutil.rmtree(newest)
            await registry.refresh()
            assert states(registry) == {1: State.READY}
            assert await answers(registry, None) == 1
            with pytest.raises(ModelNotFound, match="no version 2"):
                await registry.lease_or_wait("affine", 2)
            loads = metrics.registry.get_sample_value("kan_model_load_duration_seconds_count", {"model": "affine"})
            assert loads == 2

    run_test(test())


def test_an_unload_acts_at_once(models: Path, write_model: WriteModel) -> None:
    """It closes lingering versions too, and no request for the model scans the repository."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            write_model("affine", 2)
            await registry.refresh()
            await registry.unload("affine")
            assert states(registry) == {}
            shutil.rmtree(models)  # a scan would fail
            for version in (None, 1, 2):
                with pytest.raises(ModelNotFound):
                    await registry.lease_or_wait("affine", version)

    run_test(test())


def test_a_version_that_is_loaded_again_while_its_old_lease_runs_stays_ready(
    models: Path, write_model: WriteModel
) -> None:
    """The late close of the first object says nothing of the second."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            with registry.lease("affine"):
                await registry.unload("affine")
                await registry.load("affine")
                retiring = [task for task in asyncio.all_tasks() if task.get_name() == "retire affine/1"]
            await asyncio.gather(*retiring)
            assert metrics.registry.get_sample_value("kan_model_ready", {"model": "affine", "version": "1"}) == 1

    run_test(test())


@pytest.mark.parametrize("name", ["affine", "imputed"])
def test_a_version_that_another_replica_has_already_is_waited_for(
    models: Path, write_model: WriteModel, name: str
) -> None:
    """It was published after the last scan here: the call scans, waits for the load, and is answered."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600)) as registry:
            version = 2 if name == "affine" else 1
            write_model(name, version)
            with await registry.lease_or_wait(name, version) as model:
                assert (model.name, model.version) == (name, version)

    run_test(test())


def test_a_version_that_was_passed_over_between_two_looks_answers_by_its_number(
    models: Path, write_model: WriteModel
) -> None:
    """Another replica scanned between the two scans here, and served it. Versions from before the start stay closed."""
    write_model("affine", 1)
    write_model("affine", 2)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600)) as registry:
            write_model("affine", 3)
            write_model("affine", 4)
            await registry.refresh()
            assert await answers(registry, 3) == 3
            assert await answers(registry, None) == 4
            assert states(registry) == {2: State.LINGERING, 3: State.LINGERING, 4: State.READY}
            with pytest.raises(ModelNotFound, match="no version 1"):
                await registry.lease_or_wait("affine", 1)

    run_test(test())


def test_a_version_that_was_passed_over_long_ago_stays_closed(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as new for as long as a superseded version lingers; no replica serves it after that."""
    write_model("affine", 1)
    monotonic, later = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + later[0])

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600, linger_seconds=20)) as registry:
            write_model("affine", 2)
            write_model("affine", 3)
            await registry.refresh()
            later[0] += 21
            with pytest.raises(ModelNotFound, match="no version 2"):
                await registry.lease_or_wait("affine", 2)
            assert await answers(registry, None) == 3

    run_test(test())


def test_a_wait_ends_with_its_deadline(
    models: Path, write_model: WriteModel, held_loads: HeldLoads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer tells clients to ask another replica, which they do. A stop ends the wait too.

    Without a deadline the wait has a limit of its own.
    """
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600)) as registry:
            write_model("affine", 2)
            held_loads.holding = True
            with pytest.raises(ModelNotReady, match="replica") as caught:
                await registry.lease_or_wait("affine", 2, time.monotonic() + 0.2)
            # A fifth of the time is left, in which the caller asks another replica.
            assert float(str(caught.value).split(" after ")[1].split()[0]) <= 0.16
            with monkeypatch.context() as patch:
                patch.setattr("service.registry.residency.awaited_versions._WAIT_SECONDS", 0.01)
                with pytest.raises(ModelNotReady, match=r"after 0\.01 s"):
                    await registry.lease_or_wait("affine", 2)
            assert await answers(registry, None) == 1
            await asyncio.to_thread(held_loads.begun.wait)
            waiting = asyncio.create_task(registry.lease_or_wait("affine", 2))
            await asyncio.sleep(0)
            await registry.drain()
            with pytest.raises(Draining):
                await waiting

    run_test(test())


def test_a_stop_ends_the_wait_for_a_look(models: Path, write_model: WriteModel) -> None:
    """The call gets UNAVAILABLE, which clients send to another server, and is not cancelled."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600)) as registry:
            with pytest.raises(ModelNotFound):
                await registry.lease_or_wait("affine", 2)
            waiting = asyncio.create_task(
                registry.lease_or_wait("affine", 2)
            )  # a look came just before: the next rests
            await asyncio.sleep(0)
            await registry.drain()
            with pytest.raises(Draining):
                await waiting

    run_test(test())


def test_what_is_not_there_is_told_after_one_look(models: Path, write_model: WriteModel) -> None:
    """Neither on disk nor lingering, or not wanted by the policy, or refused: no further wait."""
    write_model("affine", 1)
    (write_model("affine", 3) / "model.onnx").write_bytes(b"half")

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600, versions="affine=1+3")) as registry:
            write_model("affine", 2)
            for name, version in (("affine", 2), ("nobody", None), ("../affine", 1)):
                with pytest.raises(ModelNotFound):
                    await registry.lease_or_wait(name, version)
            with pytest.raises(ModelNotReady, match="refused"):
                await registry.lease_or_wait("affine", 3)
            shutil.rmtree(models)  # a scan would fail, but no model can have this name
            with pytest.raises(ModelNotFound):
                await registry.lease_or_wait("../affine", 1)

    run_test(test())


def test_a_server_that_looks_only_at_the_start_says_so_at_once(models: Path, write_model: WriteModel) -> None:
    """With poll_seconds 0 the repository is the operator's to announce."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=0)) as registry:
            write_model("affine", 2)
            with pytest.raises(ModelNotFound):
                await registry.lease_or_wait("affine", 2)

    run_test(test())


def test_callers_who_wait_leave_places_to_others(models: Path, write_model: WriteModel, held_loads: HeldLoads) -> None:
    """An eighth of max_calls may wait for a version. The next call fails at once, and can ask another replica."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600, max_calls=32)) as registry:
            write_model("affine", 2)
            held_loads.holding = True
            waiting = [asyncio.create_task(registry.lease_or_wait("affine", 2)) for _ in range(4)]
            await asyncio.sleep(0)
            with pytest.raises(ModelNotReady, match="4 callers wait"):
                await registry.lease_or_wait("affine", 2)
            held_loads.go_on.set()
            for lease in await asyncio.gather(*waiting):
                with lease as model:
                    assert model.version == 2
            assert await answers(registry, 2) == 2

    run_test(test())

"""The latest version is withdrawn: two workers go back from it at one moment, whatever happens meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.errors import ModelNotFound, ModelNotReady
from service.process.workers.agreement.agreements import Agreements
from service.registry.succession import withdrawals
from service.settings import ModelTable, Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.agreeing import Worker, two_workers
from tests.kit.waiting import run_test, until

Test = Callable[[Agreements, Worker, Worker], Coroutine[Any, Any, None]]


@pytest.fixture(params=[0.0, 300.0], ids=["loaded again", "lingering"])
def going_back(request: pytest.FixtureRequest, models: Path, write_model: WriteModel) -> Callable[[Test], None]:
    """Runs a test with two workers in which version 3 has just superseded 2, and 2 has superseded 1.

    In each turn of the event loop both workers answer with the same version.
    """
    write_model("affine")

    async def watch(workers: Sequence[Worker]) -> None:
        while True:
            with suppress(ModelNotFound, ModelNotReady):  # it is unloaded, or loaded after that
                assert len({worker.latest() for worker in workers if worker.member.takes_calls}) == 1
            await asyncio.sleep(0)

    async def check(test: Test) -> None:
        async with two_workers(models, linger_seconds=request.param) as (agreements, first, second):
            for version in (2, 3):
                write_model("affine", version=version)
                await look(first, second)
            watching = asyncio.create_task(watch([first, second]))
            try:
                await test(agreements, first, second)
                assert not watching.done(), watching.exception()
            finally:
                watching.cancel()

    return lambda test: run_test(check(test))


async def look(*workers: Worker) -> None:
    """Have workers look at the repository at once."""
    await asyncio.gather(*(worker.registry.refresh() for worker in workers))


@pytest.fixture
def withdraw(models: Path) -> Callable[[int], None]:
    """Withdraws a version, as `kan-train rollback` does."""

    def rename(version: int) -> None:
        folder = models / "affine" / str(version)
        folder.rename(folder.with_name(f".withdrawn-{version}"))

    return rename


def test_the_version_is_left_once_both_have_noticed(
    going_back: Callable[[Test], None], withdraw: Callable[[int], None]
) -> None:
    """Until then the quicker one goes on with it, by its number too."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        withdraw(3)
        for _again in range(2):
            await look(first)
            assert first.latest() == 3
            assert first.batch_rows(version=3) == 512
        await look(second)
        await until(lambda: first.latest() == second.latest() == 2)
        for worker in (first, second):
            assert set(worker.registry._entries.of("affine")) == (
                {1, 2} if 1 in worker.registry._entries.of("affine") else {2}
            )
        withdraw(2)
        await look(first, second)
        await until(lambda: first.latest() == second.latest() == 1)

    going_back(test)


def test_two_versions_are_withdrawn_at_once(
    going_back: Callable[[Test], None], withdraw: Callable[[int], None]
) -> None:
    """One worker has seen that 3 is gone, and the other that 2 is gone too: both go back to 1."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        withdraw(3)
        await look(first)
        withdraw(2)
        await look(second)
        assert (first.latest(), second.latest()) == (3, 3)
        await look(first)
        await until(lambda: first.latest() == second.latest() == 1)

    going_back(test)


def test_a_version_that_comes_back_stays(
    going_back: Callable[[Test], None], withdraw: Callable[[int], None], models: Path
) -> None:
    """One worker has never missed it. After that it may be withdrawn as before."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        withdraw(3)
        await look(first)
        (models / "affine" / ".withdrawn-3").rename(models / "affine" / "3")
        await look(first, second)
        withdraw(3)
        await look(second)
        assert (first.latest(), second.latest()) == (3, 3)
        await look(first)
        await until(lambda: first.latest() == second.latest() == 2)

    going_back(test)


def test_a_newer_version_takes_the_place_of_a_withdrawn_one(
    going_back: Callable[[Test], None], withdraw: Callable[[int], None], write_model: WriteModel
) -> None:
    """It is published when one worker has seen that 3 is gone."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        withdraw(3)
        await look(first)
        write_model("affine", version=4)
        await look(first, second)
        await until(lambda: first.latest() == second.latest() == 4)

    going_back(test)


@pytest.mark.parametrize("what", ["load", "unload", "settings"])
def test_what_is_ordered_meanwhile_reaches_both(
    going_back: Callable[[Test], None], withdraw: Callable[[int], None], models: Path, what: str
) -> None:
    """One worker has seen that 3 is gone. After a load the answer is that of 2 at once; no poll is needed for it."""

    async def test(agreements: Agreements, first: Worker, second: Worker) -> None:
        withdraw(3)
        await look(first)
        if what == "settings":
            await agreements.settings.adopt(Settings(models=models, tables={"affine": ModelTable(versions="latest:1")}))
            await look(second, first)
            await until(lambda: first.latest() == second.latest() == 2)
            return
        if what == "unload":
            await second.registry.unload("affine")
            for worker in (first, second):
                with pytest.raises(ModelNotFound):
                    worker.latest()
        await second.registry.load("affine")
        assert (first.latest(), second.latest()) == (2, 2)

    going_back(test)


def test_a_version_that_comes_back_during_the_switch_is_agreed_on_anew(
    going_back: Callable[[Test], None], withdraw: Callable[[int], None], models: Path
) -> None:
    """One worker could go back at any moment when it sees it. A load by a caller waits for that, and then loads it."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        withdraw(3)
        second.late = []
        loading = asyncio.create_task(first.registry.load("affine"))
        await until(lambda: bool(second.late))
        (models / "affine" / ".withdrawn-3").rename(models / "affine" / "3")
        await look(first)
        assert not loading.done()
        assert (first.latest(), second.latest()) == (3, 3)
        second.arm_late()
        await loading
        assert (first.latest(), second.latest()) == (3, 3)

    going_back(test)


def test_a_version_that_is_withdrawn_during_its_switch_is_taken_by_nobody(
    going_back: Callable[[Test], None], withdraw: Callable[[int], None], write_model: WriteModel, models: Path
) -> None:
    """One worker has armed version 4 when the other one finds it gone. Both switch to it once it is there again."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        second.late = []
        write_model("affine", version=4)
        looking = [asyncio.create_task(look(worker)) for worker in (first, second)]
        await until(lambda: bool(second.late) and "affine" in first.registry._entries._armed)
        withdraw(4)
        await look(second)
        second.arm_late()
        for worker in (first, second):
            await look(worker)
            assert (first.latest(), second.latest()) == (3, 3)
            assert 4 not in worker.registry._entries.of("affine")
        await asyncio.gather(*looking)
        (models / "affine" / ".withdrawn-4").rename(models / "affine" / "4")
        await look(first, second)
        await until(lambda: first.latest() == second.latest() == 4)

    going_back(test)


def test_an_order_to_arm_a_version_ends_with_its_unload(
    going_back: Callable[[Test], None], write_model: WriteModel
) -> None:
    """It is on its way to a worker when version 4 is unloaded, and comes after the model was loaded once more."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        second.late = []
        write_model("affine", version=4)
        looking = [asyncio.create_task(look(worker)) for worker in (first, second)]
        await until(lambda: bool(second.late))
        await first.registry.unload("affine")
        loading = asyncio.create_task(first.registry.load("affine"))
        await until(lambda: len(second.late or ()) == 2)
        second.versions.take(second.late.pop(0))
        for worker in (second, first):
            with pytest.raises(ModelNotReady):
                worker.latest()
        second.arm_late()
        await loading
        assert (first.latest(), second.latest()) == (4, 4)
        await asyncio.gather(*looking)

    going_back(test)


def test_a_version_newer_than_the_one_that_settings_chose_does_not_linger(
    going_back: Callable[[Test], None], models: Path
) -> None:
    """Version 2 still lingers in one worker. When other settings want it again, that worker would have it alone."""

    async def test(agreements: Agreements, first: Worker, second: Worker) -> None:
        lingering = second.registry._entries.of("affine").get(2)
        if lingering is not None:
            second.registry._succession.retire(lingering, "its time is over")
        for versions, latest in (("1", 1), ("all", 3)):
            await agreements.settings.adopt(Settings(models=models, tables={"affine": ModelTable(versions=versions)}))
            await until(lambda latest=latest: first.latest() == second.latest() == latest)  # type: ignore[misc]

    going_back(test)


@pytest.mark.parametrize("why", ["it has not noticed", "the version before is damaged", "it has not armed"])
def test_a_worker_goes_back_alone_in_the_end(
    models: Path,
    write_model: WriteModel,
    withdraw: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    why: str,
) -> None:
    """A rollback may be urgent: nobody is waited for without end. The other worker follows when it can."""
    monkeypatch.setattr(withdrawals, "_LEAST_WAIT_SECONDS", 0.3)
    write_model("affine")
    graph = models / "affine" / "2" / "model.onnx"

    async def check() -> None:
        async with two_workers(models, linger_seconds=0, poll_seconds=0.1) as (_, first, second):
            for version in (2, 3):
                write_model("affine", version=version)
                await look(first, second)
            withdraw(3)
            second.late = []
            if why != "it has not noticed":
                await look(first)
                await until(lambda: 2 in first.registry._entries.of("affine"))
                if why == "the version before is damaged":
                    graph.write_bytes(graph.read_bytes()[:-1])
                await look(second)
            await look(first)
            await until(lambda: first.latest() == 2)
            assert why != "it has not noticed" or second.latest() == 3
            await until(lambda: not first.registry._succession._withdrawals.is_armed("affine"))
            if why == "the version before is damaged":
                withdraw(2)
            second.arm_late()
            await look(first, second)
            goal = 1 if why == "the version before is damaged" else 2
            await until(lambda: first.latest() == second.latest() == goal)

    run_test(check())


def test_a_worker_that_ends_is_waited_for_no_longer(
    going_back: Callable[[Test], None], withdraw: Callable[[int], None]
) -> None:
    """It had not noticed the withdrawal."""

    async def test(agreements: Agreements, first: Worker, second: Worker) -> None:
        withdraw(3)
        await look(first)
        agreements.remove(second.member)
        second.member.takes_calls = False
        await until(lambda: first.latest() == 2)

    going_back(test)

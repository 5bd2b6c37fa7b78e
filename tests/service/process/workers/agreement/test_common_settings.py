"""Settings change in all workers or in none, whatever ends, starts or refuses meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from typing import Any

import pytest

from service.errors import SettingsError
from service.process.workers.agreement.agreements import Agreements
from service.process.workers.agreement.flags import Flags
from service.settings import ModelTable, Settings
from tests.kit.waiting import run_test, until


class Worker:
    """One worker, as the parent sees it."""

    def __init__(self, agreements: Agreements, *versions: int, listens: bool = True) -> None:
        self.agreements = agreements
        self.told: list[dict[str, Any]] = []
        self.member = agreements.add(lambda **message: self.told.append(message))
        for version in versions:
            self.say(loaded=["digits", version, "a", version])
        if listens:
            self.say(**{"loaded all": True})
            assert {"listen": 0} in self.told
        self.told.clear()

    def say(self, **message: Any) -> None:
        """Send the parent a message."""
        self.agreements.take(self.member, message)

    async def ordered(self, order: str) -> list[Any]:
        """Wait for an order. Gives its number and its arguments."""
        await until(lambda: any("do" in each and each["do"][1] == order for each in self.told))
        number, _, *given = next(each for each in self.told if "do" in each)["do"]
        self.told.clear()
        return [number, *given]

    async def answer(self, order: str, value: Any = None, error: list[Any] | None = None) -> list[Any]:
        """Carry an order out. Gives its arguments."""
        number, *given = await self.ordered(order)
        if order == "adopt":
            self.say(settings=given[0])
        self.say(did=[number, error, value])
        return given

    def end(self) -> None:
        """End."""
        self.agreements.remove(self.member)


@pytest.fixture
def flags() -> Iterator[Flags]:
    """The flags of parent and workers."""
    with closing(Flags()) as made:
        yield made


@pytest.fixture
def agreements(flags: Flags) -> Agreements:
    """The parent's side."""
    return Agreements(Settings(grpc_port=5), flags)


_ONE = Settings(tables={"digits": ModelTable(versions="1")})
Test = Callable[[Agreements, "asyncio.Task[None]", Worker, Worker], Coroutine[Any, Any, None]]


def changing(agreements: Agreements, test: Test) -> None:
    """Run a test with two workers, during a change of the settings."""

    async def check() -> None:
        workers = (Worker(agreements, 1, 2), Worker(agreements, 1, 2))
        adopting = asyncio.create_task(agreements.settings.adopt(_ONE))
        try:
            await test(agreements, adopting, *workers)
        finally:
            adopting.cancel()
            await asyncio.gather(adopting, return_exceptions=True)

    run_test(check())


def test_all_workers_switch_by_one_flag_and_then_adopt(agreements: Agreements, flags: Flags) -> None:
    """The flag is set when both have armed the version that takes over. New workers start with the settings, on the
    shared port.
    """

    async def test(_: Agreements, adopting: "asyncio.Task[None]", first: Worker, second: Worker) -> None:
        for worker in (first, second):
            await worker.answer("prepare", {"digits": 1})
        place, successors = await first.answer("arm")
        assert successors == {"digits": 1}
        assert not flags.is_set(place)
        assert agreements.settings.in_force.tables == {}
        await second.answer("arm")
        for worker in (first, second):
            number, text, successors = await worker.answer("adopt")
            assert flags.is_set(place)
            assert (number, successors) == (1, {"digits": 1})
            assert '"versions":"1"' in text
        await adopting
        assert agreements.settings.in_force == _ONE.model_copy(update={"grpc_port": 5})

    changing(agreements, test)


def test_a_version_that_one_worker_lacks_takes_over_by_no_flag(agreements: Agreements, flags: Flags) -> None:
    """It is loaded and agreed on as a new version: lower than the latest one, which the policy forbids."""

    async def test(_: Agreements, adopting: "asyncio.Task[None]", first: Worker, second: Worker) -> None:
        await first.answer("prepare", {"digits": 1})
        await second.answer("prepare", {})
        for worker in (first, second):
            assert (await worker.answer("adopt"))[2] == {}
        await adopting
        for worker in (first, second):
            worker.say(left=["digits", 1])
        first.say(loaded=["digits", 1, "a", 1])
        assert first.told == []
        second.say(loaded=["digits", 1, "a", 1])
        (place,) = {worker.told[0]["arm"][2] for worker in (first, second)}
        for worker in (first, second):
            assert not flags.is_set(place)
            worker.say(armed=["digits", 1, place])
        assert flags.is_set(place)

    changing(agreements, test)


def test_what_one_worker_refuses_is_dropped_by_all(agreements: Agreements) -> None:
    """After every worker has answered, and the mistakes are those of the worker. The next change may be taken."""

    async def test(_: Agreements, adopting: "asyncio.Task[None]", first: Worker, second: Worker) -> None:
        await first.answer("prepare", error=["SettingsError", ["no CUDA", "no memory"]])
        assert first.told == []
        await second.answer("prepare", {"digits": 1})
        for worker in (first, second):
            await worker.answer("drop")
        with pytest.raises(SettingsError, match="no CUDA; no memory"):
            await adopting
        assert agreements.settings.in_force.tables == {}
        again = asyncio.create_task(agreements.settings.adopt(_ONE))
        for order in ("prepare", "adopt"):
            for worker in (first, second):
                await worker.answer(order, {})
        await again

    changing(agreements, test)


@pytest.mark.parametrize("last", ["prepare", "arm", "adopt"])
def test_a_worker_that_ends_is_waited_for_no_longer(agreements: Agreements, last: str) -> None:
    """At any point: the other one takes the settings."""

    async def test(_: Agreements, adopting: "asyncio.Task[None]", first: Worker, second: Worker) -> None:
        orders = ["prepare", "arm", "adopt"]
        for order in orders:
            if orders.index(order) < orders.index(last):
                await first.answer(order, {"digits": 1})
            elif order == last:
                await first.ordered(order)
                first.end()
            await second.answer(order, {"digits": 1})
        await adopting
        assert agreements.settings.in_force.tables

    changing(agreements, test)


def test_a_worker_that_stops_refuses_no_settings(agreements: Agreements) -> None:
    """The other one takes them, as if the first had ended."""

    async def test(_: Agreements, adopting: "asyncio.Task[None]", first: Worker, second: Worker) -> None:
        await first.answer("prepare", error=["Draining", "the server is stopping"])
        for order in ("prepare", "arm", "adopt"):
            await second.answer(order, {"digits": 1})
            if order == "arm":
                await first.answer(order)
        await first.answer("adopt", error=["Draining", "the server is stopping"])
        await adopting
        assert agreements.settings.in_force.tables

    changing(agreements, test)


def test_settings_that_every_worker_ended_of_are_refused(agreements: Agreements) -> None:
    """Workers that start would end of them too. If nobody takes calls before, they are taken: nothing is lost."""

    async def test(_: Agreements, adopting: "asyncio.Task[None]", first: Worker, second: Worker) -> None:
        for worker in (first, second):
            await worker.ordered("prepare")
            worker.end()
        with pytest.raises(SettingsError, match="has ended"):
            await adopting
        assert agreements.settings.in_force.tables == {}
        await agreements.settings.adopt(_ONE)
        assert agreements.settings.in_force.tables

    changing(agreements, test)


def test_a_worker_that_starts_takes_calls_with_the_settings_in_force(agreements: Agreements) -> None:
    """It is waited for by nobody, and gets leave to listen once it says that it has them."""

    async def test(_: Agreements, adopting: "asyncio.Task[None]", first: Worker, second: Worker) -> None:
        for worker in (first, second):
            await worker.answer("prepare", {"digits": 1})
        late = Worker(agreements, 1, 2, listens=False)
        for order in ("arm", "adopt"):
            for worker in (first, second):
                await worker.answer(order)
        await adopting
        late.say(**{"loaded all": True})
        late.say(left=["digits", 2])
        assert not any("listen" in each for each in late.told)
        assert [each["do"][1] for each in late.told if "do" in each] == ["arm", "adopt"]
        late.say(settings=1)
        assert {"listen": 1} in late.told

    changing(agreements, test)


def test_during_a_change_nothing_else_begins(agreements: Agreements) -> None:
    """A version that all have loaded is not switched to, and a worker gets no leave to listen, before the end."""

    async def test(_: Agreements, adopting: "asyncio.Task[None]", first: Worker, second: Worker) -> None:
        for worker in (first, second):
            await worker.ordered("prepare")
            worker.say(loaded=["digits", 3, "a", 3])
        late = Worker(agreements, 1, 2, listens=False)
        late.say(**{"loaded all": True})
        assert first.told == second.told == late.told == []
        adopting.cancel()
        await asyncio.gather(adopting, return_exceptions=True)

    changing(agreements, test)


def test_a_change_waits_for_the_end_of_a_switch(agreements: Agreements) -> None:
    """A version that is armed is served first."""

    async def check() -> None:
        workers = [Worker(agreements, 1), Worker(agreements, 1)]
        for worker in workers:
            worker.say(loaded=["digits", 2, "a", 2])
        adopting = asyncio.create_task(agreements.settings.adopt(_ONE))
        await asyncio.sleep(0)
        (place,) = {worker.told[-1]["arm"][2] for worker in workers}
        workers[0].say(armed=["digits", 2, place])
        await asyncio.sleep(0)
        assert all("arm" in worker.told[-1] for worker in workers)
        workers[1].say(armed=["digits", 2, place])
        for worker in workers:
            await worker.answer("prepare", {"digits": 1})
        for worker in workers:
            await worker.answer("arm")
        for worker in workers:
            await worker.answer("adopt")
        await adopting

    run_test(check())

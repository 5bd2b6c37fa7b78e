"""Models are loaded and unloaded in all workers or in none, whatever ends, starts or fails meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any

import pytest

from service.process.workers.agreement.agreements import Agreements
from service.process.workers.agreement.flags import Flags
from service.settings import Settings
from tests.kit.waiting import run_test, until


class Worker:
    """One worker, as the parent sees it."""

    def __init__(self, agreements: Agreements, *, listens: bool = True) -> None:
        self.agreements = agreements
        self.told: list[dict[str, Any]] = []
        self.member = agreements.add(lambda **message: self.told.append(message))
        if listens:
            self.say(**{"loaded all": True})
            assert {"listen": 0} in self.told

    def say(self, **message: Any) -> None:
        """Send the parent a message."""
        self.agreements.take(self.member, message)

    async def ordered(self, order: str) -> int:
        """Wait for an order. Gives its number."""
        await until(lambda: any(each.get("do", [0, ""])[1] == order for each in self.told))
        found = next(each for each in self.told if each.get("do", [0, ""])[1] == order)
        self.told.remove(found)
        number: int = found["do"][0]
        return number

    async def obey(self, order: str, error: list[str] | None = None, *, is_unloaded: bool = False) -> None:
        """Carry an order out."""
        self.say(did=[await self.ordered(order), None, [error, is_unloaded]])

    async def answer(self, number: int) -> list[Any] | None:
        """Wait for the answer to a question. Gives its error."""
        await until(lambda: any(each.get("answer", [0])[0] == number for each in self.told))
        error: list[Any] | None = next(each["answer"][1] for each in self.told if each.get("answer", [0])[0] == number)
        return error


Test = Callable[[Agreements, Worker, Worker], Coroutine[Any, Any, None]]
_UNREADABLE = ["StartupError", "cannot be read"]


def run_unloaded(test: Test) -> None:
    """Run a test with two workers in which a model is unloaded."""

    async def check() -> None:
        with closing(Flags()) as flags:
            agreements = Agreements(Settings(poll_seconds=0), flags)
            workers = (Worker(agreements), Worker(agreements))
            workers[0].say(ask=[1, "unload", "digits"])
            for worker in workers:
                await worker.obey("unload", is_unloaded=True)
            assert await workers[0].answer(1) is None
            for worker in workers:
                worker.told.clear()
            await test(agreements, *workers)

    run_test(check())


def test_a_worker_that_starts_during_a_load_loads_the_model() -> None:
    """It was not there when the order was given, for example because the load took the memory of its predecessor."""

    async def test(agreements: Agreements, first: Worker, second: Worker) -> None:
        first.say(ask=[2, "load", "digits"])
        await second.ordered("load")
        agreements.remove(second.member)
        assert agreements.given().unloaded == []
        await first.obey("load")
        assert await first.answer(2) is None
        assert agreements.given().unloaded == []

    run_unloaded(test)


@pytest.mark.parametrize("other_begins", [False, True])
def test_a_load_that_a_worker_cannot_begin_leaves_the_model_unloaded_in_all(other_begins: bool) -> None:
    """Also in a worker that has started during the load, and in one that could begin. The caller gets the error."""

    async def test(agreements: Agreements, first: Worker, second: Worker) -> None:
        first.say(ask=[2, "load", "digits"])
        number = await second.ordered("load")
        late = Worker(agreements, listens=False)
        await first.obey("load", _UNREADABLE, is_unloaded=True)
        second.say(did=[number, None, [None if other_begins else _UNREADABLE, not other_begins]])
        await late.ordered("unload")
        for worker in (first, second):
            await worker.obey("unload", is_unloaded=True)
        assert await first.answer(2) == _UNREADABLE
        assert agreements.given().unloaded == ["digits"]

    run_unloaded(test)


def test_an_unload_waits_for_no_load() -> None:
    """It reaches all while a load hangs in a worker. A load after it waits for the one before."""

    async def test(agreements: Agreements, first: Worker, second: Worker) -> None:
        first.say(ask=[2, "load", "digits"])
        await first.obey("load")
        hanging = await second.ordered("load")
        first.say(ask=[3, "unload", "digits"])
        first.say(ask=[4, "load", "digits"])
        for worker in (first, second):
            await worker.obey("unload", is_unloaded=True)
        assert await first.answer(3) is None
        assert agreements.given().unloaded == ["digits"]
        second.say(did=[hanging, None, [["ModelNotReady", "it was unloaded meanwhile"], True]])
        for worker in (first, second):
            await worker.obey("unload", is_unloaded=True)
        assert await first.answer(2) == ["ModelNotReady", "it was unloaded meanwhile"]
        for worker in (first, second):
            await worker.obey("load")
        assert await first.answer(4) is None
        assert agreements.given().unloaded == []

    run_unloaded(test)


def test_a_load_waits_until_no_worker_answers_with_what_is_unloaded() -> None:
    """A worker would load an earlier version first, and answer with it at once, because another one still has it."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        first.say(ask=[2, "load", "digits"])
        for worker in (first, second):
            await worker.obey("load")
        first.say(ask=[3, "unload", "digits"])
        await first.obey("unload", is_unloaded=True)
        first.say(ask=[4, "load", "digits"])
        unload = await second.ordered("unload")
        await asyncio.sleep(0)
        assert not any("do" in each for each in (*first.told, *second.told))
        second.say(did=[unload, None, [None, True]])
        for worker in (first, second):
            await worker.obey("load")
        assert await first.answer(4) is None

    run_unloaded(test)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_worker_that_cannot_begin_a_load_lets_no_other_wait(is_late: bool) -> None:
    """Whether the other has loaded a version before or after that."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        first.say(ask=[2, "load", "digits"])
        number = await first.ordered("load")
        if not is_late:
            second.say(loaded=["digits", 3, "a", 3])
        first.say(refused=["digits", 0, "cannot be read"])
        first.say(did=[number, None, [_UNREADABLE, False]])
        if is_late:
            second.say(loaded=["digits", 3, "a", 3])
        assert {"refuse": ["digits", 3, "another worker refused it: cannot be read", 3]} in second.told
        await second.obey("load", ["ModelNotReady", "another worker refused it: cannot be read"])
        assert await first.answer(2) == _UNREADABLE
        second.say(loaded=["digits", 3, "a", 3])
        first.say(loaded=["digits", 3, "a", 3])
        assert any("arm" in each for each in first.told)

    run_unloaded(test)


@pytest.mark.parametrize("all_stop", [False, True])
def test_a_worker_that_stops_is_no_error_for_a_load_of_the_others(all_stop: bool) -> None:
    """They load the model without it. If none of them does, the caller learns that."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        first.say(ask=[2, "load", "digits"])
        second.say(did=[await second.ordered("load"), ["Draining", "stopping"], None])
        if all_stop:
            first.say(did=[await first.ordered("load"), ["Draining", "stopping"], None])
            assert (await first.answer(2) or [""])[0] == "Draining"
        else:
            await first.obey("load")
            assert await first.answer(2) is None

    run_unloaded(test)


def test_an_order_that_breaks_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """In a worker, which has logged it, or here, where it is logged: the caller waits for neither."""

    async def test(_: Agreements, first: Worker, second: Worker) -> None:
        for number, error, value in ((2, ["WorkerBroke", "KeyError"], None), (3, None, 7)):
            first.say(ask=[number, "load", "digits"])
            await first.obey("load")
            second.say(did=[await second.ordered("load"), error, value])
            assert (await first.answer(number) or [""])[0] == "WorkerBroke"
            assert len(caplog.records) == (number == 3)

    run_unloaded(test)

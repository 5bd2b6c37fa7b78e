"""A worker's side of the agreement: what it says, and what ends its waits."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from service.errors import ModelRefused
from service.process.workers.agreement.flags import Flags
from service.process.workers.agreement.worker_versions import WorkerVersions
from tests.kit.waiting import run_test, until


def test_a_loaded_version_waits_until_it_is_served() -> None:
    """It is armed first: from the moment at which the parent sets the flag it is the latest, before the load ends."""

    async def check() -> None:
        said: list[dict[str, Any]] = []
        armed: list[Callable[[], bool] | None] = []
        with closing(Flags()) as flags:
            versions = WorkerVersions(lambda **message: said.append(message), Flags(flags.descriptor))
            versions.loading("digits", 2)
            load = asyncio.create_task(versions.loaded("digits", 2, "a", armed.append))
            await until(lambda: len(said) == 2)
            number = said[1]["loaded"][3]
            assert said == [{"loading": ["digits", 2]}, {"loaded": ["digits", 2, "a", number]}]
            versions.take({"serve": ["digits", 1, number]})
            versions.take({"arm": ["digits", 2, 7, number]})
            assert said[2]["armed"][:2] == ["digits", 2]
            assert [is_switched is not None and is_switched() for is_switched in armed] == [False]
            flags.set(7)
            assert [is_switched is not None and is_switched() for is_switched in armed] == [True]
            assert not load.done()
            versions.take({"serve": ["digits", 2, number]})
            await load

    run_test(check())


@pytest.mark.parametrize("why", ["unloaded", "other settings"])
def test_orders_for_a_load_that_has_ended_are_not_for_the_next_one(why: str) -> None:
    """They are on their way when the version is left. It is loaded again before they come, and waits."""

    async def check() -> None:
        said: list[dict[str, Any]] = []
        armed: list[Callable[[], bool] | None] = []
        with closing(Flags()) as flags:
            versions = WorkerVersions(lambda **message: said.append(message), flags)
            load = asyncio.create_task(versions.loaded("digits", 2, "a", armed.append))
            await asyncio.sleep(0)
            first = said[0]["loaded"][3]
            if why == "unloaded":
                versions.left("digits", 2)
                load.cancel()
            else:
                versions.load_again()
            versions.take({"arm": ["digits", 2, 6, first]})  # the load has not noticed yet
            again = asyncio.create_task(versions.loaded("digits", 2, "a", armed.append))
            await asyncio.gather(load, return_exceptions=True)
            await asyncio.sleep(0)
            second = said[-1]["loaded"][3]
            assert said[1:] == [{"left": ["digits", 2]}, {"loaded": ["digits", 2, "a", second]}]
            for order in ({"arm": ["digits", 2, 6, first]}, {"disarm": ["digits", 2, first]}):
                versions.take(order)
            versions.take({"refuse": ["digits", 2, "no", first]})
            versions.take({"serve": ["digits", 2, first]})
            await asyncio.sleep(0)
            assert (armed, again.done(), len(said)) == ([], False, 3)
            versions.take({"arm": ["digits", 2, 7, second]})
            versions.take({"disarm": ["digits", 2, second]})
            assert [each is None for each in armed] == [False, True]
            versions.take({"serve": ["digits", 2, second]})
            await again

    run_test(check())


def test_a_refusal_of_another_worker_is_one_here() -> None:
    """The load fails with a reason that names the other worker; later orders for it change nothing."""

    async def check() -> None:
        with closing(Flags()) as flags:
            said: list[dict[str, Any]] = []
            versions = WorkerVersions(lambda **message: said.append(message), flags)
            load = asyncio.create_task(versions.loaded("digits", 2, "a", lambda _: None))
            await asyncio.sleep(0)
            number = said[0]["loaded"][3]
            versions.take({"refuse": ["digits", 2, "another worker refused it: no memory", number]})
            versions.take({"refuse": ["digits", 2, "again", number]})
            versions.take({"serve": ["digits", 2, number]})
            with pytest.raises(ModelRefused, match="another worker refused it: no memory") as refused:
                await load
            assert refused.value.kind == "worker"
            versions.take({"arm": ["digits", 2, 0, number]})
            assert len(said) == 1

    run_test(check())


def test_a_load_that_is_cancelled_leaves_the_agreement() -> None:
    """The other workers do not wait for a version that this one does not want any more."""

    async def check() -> None:
        said: list[dict[str, Any]] = []
        with closing(Flags()) as flags:
            versions = WorkerVersions(lambda **message: said.append(message), flags)
            load = asyncio.create_task(versions.loaded("digits", 2, "a", lambda _: None))
            await asyncio.sleep(0)
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
            assert said[-1] == {"left": ["digits", 2]}

    run_test(check())


def test_a_withdrawn_version_is_armed_and_left() -> None:
    """Only by the report that came last, and not after this worker stays. Settings leave it alone."""
    said: list[dict[str, Any]] = []
    armed: list[Callable[[], bool] | None] = []
    ended: list[bool] = []

    with closing(Flags()) as flags:
        versions = WorkerVersions(lambda **message: said.append(message), Flags(flags.descriptor))

        def withdraw(version: int, successor: int) -> int:
            versions.withdrawn("digits", version, successor, armed.append, ended.append)
            number: int = said[-1]["withdrawn"][3]
            assert said.pop() == {"withdrawn": ["digits", version, successor, number]}
            return number

        before, number = withdraw(3, 1), withdraw(3, 1)
        versions.load_again()
        for order in ({"serve": ["digits", 1, number]}, {"refuse": ["digits", 1, "no", number]}):
            versions.take(order)
        versions.take({"arm back": ["digits", 1, 6, before]})
        versions.take({"end back": ["digits", True, before]})
        assert (said, armed, ended) == ([], [], [])
        versions.take({"arm back": ["digits", 1, 7, number]})
        assert said.pop() == {"armed": ["digits", 1, 7]}
        flags.set(7)
        assert [is_switched is not None and is_switched() for is_switched in armed] == [True]
        for _again in range(2):
            versions.take({"end back": ["digits", True, number]})
        assert ended == [True]
        number = withdraw(4, 1)
        versions.take({"arm back": ["digits", 1, 8, number]})
        versions.take({"end back": ["digits", False, number]})
        assert ended == [True, False]
        number = withdraw(4, 1)
        versions.stays("digits", 4)
        assert said[-1]["withdrawn"][:3] == ["digits", 4, 0]
        versions.take({"arm back": ["digits", 1, 9, number]})
        assert len(armed) == 2


def test_an_answer_to_a_call_that_has_just_ended_is_no_error() -> None:
    """The call is cancelled in the turn of the event loop in which the answer comes."""

    async def check() -> None:
        with closing(Flags()) as flags:
            versions = WorkerVersions(lambda **_: None, flags)
            load = asyncio.create_task(versions.load("digits"))
            await asyncio.sleep(0)
            load.cancel()
            versions.take({"answer": [1, ["ModelNotFound", "no such model"]]})
            assert isinstance((await asyncio.gather(load, return_exceptions=True))[0], asyncio.CancelledError)

    run_test(check())

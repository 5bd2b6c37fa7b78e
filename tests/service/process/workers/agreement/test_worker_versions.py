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
        armed: list[Callable[[], bool]] = []
        with closing(Flags()) as flags:
            versions = WorkerVersions(lambda **message: said.append(message), Flags(flags.descriptor))
            versions.loading("digits", 2)
            load = asyncio.create_task(versions.loaded("digits", 2, "a", armed.append))
            await until(lambda: len(said) == 2)
            assert said == [{"loading": ["digits", 2]}, {"loaded": ["digits", 2, "a"]}]
            versions.take({"serve": ["digits", 1]})
            versions.take({"arm": ["digits", 2, 7]})
            assert said[2]["armed"][:2] == ["digits", 2]
            assert [is_switched() for is_switched in armed] == [False]
            flags.set(7)
            assert [is_switched() for is_switched in armed] == [True]
            assert not load.done()
            versions.take({"serve": ["digits", 2]})
            await load

    run_test(check())


def test_a_refusal_of_another_worker_is_one_here() -> None:
    """The load fails with a reason that names the other worker; later orders for it change nothing."""

    async def check() -> None:
        with closing(Flags()) as flags:
            versions = WorkerVersions(lambda **_: None, flags)
            load = asyncio.create_task(versions.loaded("digits", 2, "a", lambda _: None))
            await asyncio.sleep(0)
            versions.take({"refuse": ["digits", 2, "another worker refused it: no memory"]})
            versions.take({"refuse": ["digits", 2, "again"]})
            versions.take({"serve": ["digits", 2]})
            with pytest.raises(ModelRefused, match="another worker refused it: no memory") as refused:
                await load
            assert refused.value.kind == "worker"
            versions.take({"arm": ["digits", 2, 0]})

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
    """Only to the version that was reported last, and not after this worker stays. Settings leave it alone."""
    said: list[dict[str, Any]] = []
    armed: list[Callable[[], bool]] = []
    ended: list[bool] = []
    with closing(Flags()) as flags:
        versions = WorkerVersions(lambda **message: said.append(message), Flags(flags.descriptor))
        versions.withdrawn("digits", 3, 2, armed.append, ended.append)
        versions.withdrawn("digits", 3, 1, armed.append, ended.append)
        assert said == [{"withdrawn": ["digits", 3, 2]}, {"withdrawn": ["digits", 3, 1]}]
        versions.take({"arm back": ["digits", 2, 6]})
        assert said.pop() == {"armed": ["digits", 2, 6]}  # the others do not wait for it
        for order in ({"serve": ["digits", 1]}, {"refuse": ["digits", 1, "no"]}, {"end back": ["digits", 6, True]}):
            versions.take(order)
        versions.load_again()
        assert (armed, ended) == ([], [])
        versions.take({"arm back": ["digits", 1, 7]})
        assert said.pop() == {"armed": ["digits", 1, 7]}
        flags.set(7)
        assert [is_switched() for is_switched in armed] == [True]
        versions.take({"end back": ["digits", 7, True]})
        versions.take({"end back": ["digits", 7, True]})
        assert ended == [True]
        versions.withdrawn("digits", 4, 1, armed.append, ended.append)
        versions.take({"arm back": ["digits", 1, 8]})
        versions.take({"end back": ["digits", 8, False]})
        assert ended == [True, False]
        versions.withdrawn("digits", 4, 1, armed.append, ended.append)
        versions.stays("digits", 4)
        assert said.pop() == {"withdrawn": ["digits", 4, 0]}
        versions.take({"arm back": ["digits", 1, 9]})
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

"""Batches of models with different priorities: who runs first, and that nobody waits for ever."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from service.batching.request import Outputs, Rows
from service.batching.turns import Turn, Turns
from tests.kit.parts.batching import HeldRun, begin_run, check_answer, double, new_batcher, send_crowd, some_rows, turns
from tests.kit.waiting import run_test


def _noted(name: str, runs: list[str]) -> Callable[[Rows], Outputs]:
    def run(rows: Rows) -> Outputs:
        runs.append(name)
        return double(rows)

    return run


def test_the_higher_priority_runs_first() -> None:
    """Rows of two models wait. The model with the higher priority runs first, though its rows came last."""

    async def check(priorities: tuple[int, int], expected: list[str]) -> None:
        runs: list[str] = []
        all_turns = Turns()
        first, last = (
            new_batcher(_noted(name, runs), turn=Turn(all_turns, priority))
            for name, priority in zip(("first", "last"), priorities, strict=True)
        )
        for batcher in (first, last):
            await send_crowd(batcher)  # from now on requests wait in the queue
        runs.clear()
        asked = [batcher.submit(some_rows(2, 5.0)) for batcher in (first, last)]
        for answer in await asyncio.gather(*asked):
            check_answer(some_rows(2, 5.0), answer)
        assert runs == expected

    run_test(check((0, 0), ["first", "last"]))
    run_test(check((5, 0), ["first", "last"]))
    run_test(check((-1, 0), ["last", "first"]))


def test_a_batch_waits_while_a_higher_one_runs() -> None:
    """A request that could run at once waits for the thread of the other model, and runs when that is done."""

    async def check() -> None:
        held, all_turns = HeldRun(), Turns()
        runs: list[str] = []
        with ThreadPoolExecutor(1) as pool:
            high = new_batcher(held, executor=pool, turn=Turn(all_turns, 1))
            low = new_batcher(_noted("low", runs), turn=Turn(all_turns))
            high_asked = await begin_run(held, high, 1)
            low_asked = asyncio.create_task(low.submit(some_rows(1)))
            await turns(20)
            assert runs == []
            held.open.set()
            await asyncio.gather(*high_asked)
            await low_asked
            assert runs == ["low"]

    run_test(check())


def test_a_higher_model_that_hangs_stops_nobody() -> None:
    """The run of a model with a high priority never returns: others wait for it a moment, and go on."""

    async def check() -> None:
        held, all_turns = HeldRun(), Turns()
        with ThreadPoolExecutor(1) as pool:
            high = new_batcher(held, executor=pool, turn=Turn(all_turns, 1))
            low = new_batcher(turn=Turn(all_turns))
            asked = await begin_run(held, high, 1)
            for _ in range(3):
                check_answer(some_rows(2), await low.submit(some_rows(2)))
            assert not asked[0].done()
            leaver = asyncio.create_task(high.submit(some_rows(1)))  # its callers come and go
            await turns()
            leaver.cancel()
            await asyncio.gather(leaver, return_exceptions=True)
            assert all_turns.highest < 0  # nobody waits for this run any more
            held.open.set()
            await asyncio.gather(*asked)
            held.open.clear()
            held.entered.clear()
            asked = await begin_run(held, high, 1)
            assert all_turns.highest == 1  # but for the next one
            held.open.set()
            await asyncio.gather(*asked)

    run_test(check())


def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    """A caller leaves while its batch waits for its turn; the next one is answered, and the batcher drains."""

    async def check() -> None:
        held, all_turns = HeldRun(), Turns()
        with ThreadPoolExecutor(1) as pool:
            high = new_batcher(held, executor=pool, turn=Turn(all_turns, 1))
            low = new_batcher(turn=Turn(all_turns))
            asked = await begin_run(held, high, 1)
            leaver = asyncio.create_task(low.submit(some_rows(1)))
            await turns(5)
            leaver.cancel()
            await asyncio.gather(leaver, return_exceptions=True)
            held.open.set()
            await asyncio.gather(*asked)
            check_answer(some_rows(2), await low.submit(some_rows(2)))
            await asyncio.gather(high.drain(), low.drain())

    run_test(check())


def test_a_priority_changes_while_rows_wait() -> None:
    """A model whose priority is lowered while it runs does not keep others waiting any more."""

    async def check() -> None:
        held, all_turns = HeldRun(), Turns()
        with ThreadPoolExecutor(1) as pool:
            turn = Turn(all_turns, 7)
            high = new_batcher(held, executor=pool, turn=turn)
            asked = await begin_run(held, high, 1)
            assert all_turns.highest == 7
            turn.move(0)
            assert all_turns.highest == 0
            held.open.set()
            await asyncio.gather(*asked)
            assert all_turns.highest < 0

    run_test(check())

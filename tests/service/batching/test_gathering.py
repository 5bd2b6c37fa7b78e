"""When requests that arrive turn after turn are gathered for one run, and when each runs at once."""

import asyncio

from service.batching.batcher import Batcher
from tests.kit.clock import Clock
from tests.kit.parts.batching import Witness, check_answer, double_in, new_batcher, send_one_a_turn, some_rows, turns
from tests.kit.waiting import run_test


def test_of_a_first_crowd_one_is_run_at_once_and_the_others_together() -> None:
    """The other requests of that turn run in one batch. Later batches are expected until one request arrives alone."""

    async def test() -> None:
        witness = Witness()
        batcher = new_batcher(witness=witness)
        for turn in ([1, 2, 3], [1, 2], [2], [3], [1, 1]):
            await asyncio.gather(*(batcher.submit(some_rows(rows)) for rows in turn))
            await turns()
        assert witness.of("ran") == [1, 5, 3, 2, 3, 1, 1]
        # The requests of a crowd waited in the queue, and so did the first one alone after it.
        assert witness.of("queued") == [2, 5, 3, 0, 1, 3, 2, 0, 2, 0, 1, 0]

    run_test(test())


def test_requests_that_arrive_turn_after_turn_are_gathered_until_it_is_quiet() -> None:
    """The first request runs at once, those in the next quiet turns run in one batch.

    A later request runs alone at once.
    """
    witness = Witness()

    async def test() -> None:
        batcher = new_batcher(witness=witness, quiet_turns=3)
        asked = await send_one_a_turn(batcher, 6)
        assert witness.of("ran") == [1], "the others do not wait until it is quiet"
        for place, result in enumerate(await asyncio.gather(*asked)):
            check_answer(some_rows(1, place), result)
        assert witness.of("ran") == [1, 5]
        await batcher.submit(some_rows(1))  # gathers in vain, so the next is taken to be alone
        await turns(20)
        alone = asyncio.create_task(batcher.submit(some_rows(1)))
        await turns(1)
        assert alone.done()
        await alone

    run_test(test())


def test_after_many_alone_only_a_request_close_behind_another_is_gathered() -> None:
    """After four runs alone no batch window opens, until a request arrives within 100 µs of another's answer."""
    witness, clock = Witness(), Clock(100.0)

    async def alone(batcher: Batcher) -> None:
        clock.now += 1e-3
        await batcher.submit(some_rows(1))
        await turns(5)

    async def test() -> None:
        batcher = new_batcher(witness=witness, clock=clock, quiet_turns=3)
        for _ in range(4):
            await alone(batcher)
        clock.now += 1e-3
        await asyncio.gather(*await send_one_a_turn(batcher, 4))
        # The first two are run at once: the second is close behind the first, so that the others are gathered.
        assert witness.of("ran")[4:] == [1, 1, 2]

    run_test(test())


def test_after_many_alone_a_request_within_the_time_of_the_last_run_is_gathered() -> None:
    """A run of 2 ms: a request 1 ms after its answer is close to it, so those that follow run in one batch."""
    witness, clock = Witness(), Clock(100.0)

    async def test() -> None:
        batcher = new_batcher(double_in(clock, 2e-3), witness=witness, clock=clock, quiet_turns=3)
        for pause in [1.0] * 6 + [1e-3]:
            clock.now += pause
            await batcher.submit(some_rows(1))
            if pause == 1.0:
                await turns(5)
        await asyncio.gather(*await send_one_a_turn(batcher, 3))
        assert witness.of("ran")[6:] == [1, 3]

    run_test(test())


def test_every_sixteenth_request_alone_opens_a_window() -> None:
    """So concurrent requests soon run in one batch, even if none arrives within 100 µs of another's answer.

    After that batch the first ones alone open windows again.
    """
    witness, clock = Witness(), Clock(100.0)

    async def test() -> None:
        batcher = new_batcher(witness=witness, clock=clock, quiet_turns=3)
        for _ in range(16):
            clock.now += 1e-3
            await batcher.submit(some_rows(1))
            await turns(5)
        clock.now += 1e-3
        await asyncio.gather(*await send_one_a_turn(batcher, 4))
        assert witness.of("ran")[16:] == [1, 3]
        clock.now += 1e-3
        await batcher.submit(some_rows(1))  # is gathered, alone: the next one runs at once
        clock.now += 1e-3
        await asyncio.gather(*await send_one_a_turn(batcher, 4))
        assert witness.of("ran")[18:] == [1, 1, 3]

    run_test(test())


def test_a_gathering_ends_where_the_batch_is_full() -> None:
    """With as many rows as a run takes it does not wait for quiet."""
    witness = Witness()

    async def test() -> None:
        batcher = new_batcher(witness=witness, quiet_turns=1000, max_batch_rows=4)
        asked = await send_one_a_turn(batcher, 5)
        await turns()
        assert witness.of("ran") == [1, 4]
        await asyncio.gather(*asked)

    run_test(test())


def test_a_gathering_ends_after_a_millisecond() -> None:
    """No request waits longer, even if the event loop is never quiet."""
    witness, clock = Witness(), Clock(100.0)

    async def test() -> None:
        batcher = new_batcher(witness=witness, clock=clock, quiet_turns=1000, max_batch_rows=1000)
        asked = await send_one_a_turn(batcher, 3)
        assert witness.of("ran") == [1]
        clock.now += 1.1e-3
        asked += await send_one_a_turn(batcher, 2)
        assert witness.of("ran")[:2] in ([1, 2], [1, 3])
        clock.now += 1.1e-3
        await asyncio.gather(*asked)

    run_test(test())


def test_a_long_run_at_once_gathers_the_requests_that_arrived_meanwhile() -> None:
    """After a run longer than a gathering the next ones are still run together."""
    witness, clock = Witness(), Clock(100.0)

    async def test() -> None:
        batcher = new_batcher(double_in(clock, 2e-3), witness=witness, clock=clock, quiet_turns=3)
        await asyncio.gather(*await send_one_a_turn(batcher, 6))
        assert witness.of("ran") == [1, 5]

    run_test(test())

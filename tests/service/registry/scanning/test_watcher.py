"""The watcher goes on after any error of a scan, and logs each error once."""

import asyncio
import logging

import pytest

from service.errors import StorageError
from service.registry.scanning.watcher import Watcher


def test_each_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Also if two errors alternate. The end of the errors is logged too, and after that an error is logged again."""
    looks = iter(["before", "refused", "silent", "refused", "silent", "before", "", "", "refused"])

    async def test() -> None:
        over = asyncio.Event()

        async def look() -> None:
            reason = next(looks, None)
            if reason is None:
                over.set()
            elif reason:
                raise StorageError(reason)

        watcher = Watcher(look, 0, "before")
        await over.wait()
        assert watcher.alive
        await watcher.stop()

    with caplog.at_level(logging.INFO):
        asyncio.run(test())
    ending = "; loaded models still answer"
    again = "the model repository is read again"
    assert [record.getMessage() for record in caplog.records] == [
        f"refused{ending}",
        f"silent{ending}",
        again,
        f"refused{ending}",
        again,
    ]


@pytest.mark.parametrize("fault", [MemoryError("no room"), ValueError("told to fail"), KeyError("gone")])
def test_a_look_that_fails_unexpectedly_is_not_the_last(fault: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Its traceback is logged once, and scans go on."""
    looks: list[None] = []

    async def test() -> None:
        over = asyncio.Event()

        async def look() -> None:
            looks.append(None)
            if len(looks) == 4:
                over.set()
            raise fault

        watcher = Watcher(look, 0)
        await over.wait()
        assert watcher.alive
        await watcher.stop()

    asyncio.run(test())
    assert caplog.text.count("Traceback") == 1
    assert type(fault).__name__ in caplog.text


def test_new_words_at_every_look_are_not_kept_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Some libraries put addresses and times into their messages: only the latest messages are kept."""
    reasons = [f"refused at {look}" for look in range(30)]

    async def test() -> None:
        looks = iter([*reasons, reasons[-1], reasons[0]])
        over = asyncio.Event()

        async def look() -> None:
            reason = next(looks, None)
            if reason is None:
                over.set()
                return
            raise StorageError(reason)

        watcher = Watcher(look, 0)
        await over.wait()
        await watcher.stop()

    asyncio.run(test())
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage().split(";")[0] for record in warnings] == [*reasons, reasons[0]]

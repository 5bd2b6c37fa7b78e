"""The watcher's log: what is told, and how often."""

import asyncio
import logging

import pytest

from service.errors import StorageError
from service.watcher import Watcher


def test_each_trouble_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Though reasons go to and fro at every look; its end is told too, and after that it may be told again."""
    looks = iter(["before", "refused", "silent", "refused", "silent", "before", "", "", "refused"])

    async def test() -> None:
        changes: list[None] = []
        over = asyncio.Event()

        async def refresh() -> bool:
            reason = next(looks, None)
            if reason is None:
                over.set()
            elif reason:
                raise StorageError(reason)
            return False

        watcher = Watcher(refresh, 0, lambda: changes.append(None), "before")
        await over.wait()
        assert watcher.alive
        await watcher.stop()
        # At each trouble, since some models may have been read.
        assert len(changes) == 7

    with caplog.at_level(logging.INFO):
        asyncio.run(test())
    ending = "; what is loaded answers on"
    again = "the model repository is read again"
    assert [record.getMessage() for record in caplog.records] == [
        f"refused{ending}",
        f"silent{ending}",
        again,
        f"refused{ending}",
        again,
    ]


def test_new_words_at_every_look_are_not_kept_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    """Some libraries put addresses and times into what they say: only the latest are remembered."""
    reasons = [f"refused at {look}" for look in range(30)]

    async def test() -> None:
        looks = iter([*reasons, reasons[-1], reasons[0]])
        over = asyncio.Event()

        async def refresh() -> bool:
            reason = next(looks, None)
            if reason is None:
                over.set()
                return False
            raise StorageError(reason)

        watcher = Watcher(refresh, 0, lambda: None)
        await over.wait()
        await watcher.stop()

    asyncio.run(test())
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage().split(";")[0] for record in warnings] == [*reasons, reasons[0]]

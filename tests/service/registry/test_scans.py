"""Scans of the repository and requests to load take turns."""

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.metrics.metrics import Metrics
from service.registry.registry import Registry
from service.settings import Settings


@pytest.mark.parametrize("second", ["a scan", "a load on request"])
def test_no_scan_begins_before_the_last_one_ended(
    second: str, models: Path, write_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old listing that arrives after a newer one would take versions back that are published."""
    write_model("affine", 1)
    hangs, go_on = threading.Event(), threading.Event()
    scandir = os.scandir

    def held(*given: Any) -> Any:
        found = scandir(*given)
        hangs.set()
        go_on.wait()
        return found

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        await registry.load_all()
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", held)
            scans = [asyncio.create_task(registry.scan())]
            while not hangs.is_set():  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(0)
        write_model("affine", 2)
        scans.append(asyncio.create_task(registry.scan() if second == "a scan" else registry.load("affine")))
        for _ in range(10):
            await asyncio.sleep(0)
        assert [thread.name for thread in threading.enumerate()].count("list") == 1
        go_on.set()
        await asyncio.gather(*scans)
        await registry.close()

    try:
        asyncio.run(test())
    finally:
        go_on.set()

"""Storage that does not answer, hangs or has gone: loaded and cached versions answer, and the rest is tried again."""

import asyncio
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import ModelNotReady, StorageError
from service.metrics.metrics import Metrics
from service.registry.registry import Registry
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import loaded_registry, ready_versions
from tests.kit.parts.storage import Outage, seen_seconds
from tests.kit.waiting import run_test


def test_a_start_without_storage_serves_what_the_cache_holds(
    settings: Callable[..., Settings], write_model: WriteModel, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Logged once, and shown by the metric. When the storage returns, new versions are found."""
    write_model("affine", 1)
    away = models.with_name("away")

    async def test() -> None:
        first = Registry(settings(), Metrics())
        await first.load_all()
        await first.close()
        shutil.move(models, away)
        metrics = Metrics()
        async with loaded_registry(settings(), metrics) as registry:
            assert registry.ready()
            assert ready_versions(registry) == ["affine/1"]
            with pytest.raises(StorageError):
                await registry.refresh()
            assert seen_seconds(metrics) == 0
            shutil.move(away, models)
            write_model("affine", 2)
            assert await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]
            assert seen_seconds(metrics) > 0

    run_test(test())
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.endswith("cannot be read: No such folder; what the cache holds is served")


def test_a_start_with_neither(settings: Callable[..., Settings], models: Path) -> None:
    """A folder or bucket that is not there is a mistake: the server does not start."""
    models.rmdir()

    async def test() -> None:
        with pytest.raises(StorageError, match="No such folder"):
            await Registry(settings(), Metrics()).load_all()

    run_test(test())


@pytest.mark.parametrize("what", ["find", "cat_file"])
def test_a_start_waits_for_storage_that_may_come_back(
    what: str, settings: Callable[..., Settings], write_model: WriteModel, outage: Outage
) -> None:
    """With an empty cache the server is live and not ready, has a reason, and tells callers to try again."""
    write_model("affine", 1)
    outage.off = {what}

    async def test() -> None:
        with pytest.raises(StorageError, match="no route to host"):
            await Registry(settings(poll_seconds=0), Metrics()).load_all()
        async with loaded_registry(settings()) as registry:
            assert not registry.ready()
            with pytest.raises(ModelNotReady), registry.lease("affine"):
                pass
            if what == "find":
                assert "no route to host" in registry.unready_reason()
            outage.off = set()
            await registry.refresh()
            assert registry.ready()

    run_test(test())


def test_what_cannot_be_read_now_is_not_refused(
    settings: Callable[..., Settings], write_model: WriteModel, outage: Outage
) -> None:
    """The version is tried again at the next scan, with the same files. Other models are scanned too."""
    write_model("affine", 1)
    write_model("classifier", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(settings(), metrics) as registry:
            write_model("affine", 2)
            outage.off = {"cat_file"}
            for _ in range(2):
                with pytest.raises(StorageError, match="affine/2"):
                    await registry.refresh()
            assert ready_versions(registry) == ["affine/1", "classifier/1"]
            assert registry.ready()
            assert "kan_model_refused_total" not in {
                sample.name for metric in metrics.registry.collect() for sample in metric.samples
            }
            outage.off = set()
            await registry.refresh()
            assert ready_versions(registry) == ["affine/2", "classifier/1"]

    run_test(test())


def test_scans_do_not_repeat_the_error_of_the_start(
    settings: Callable[..., Settings], outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in the log once, however often the storage is tried again."""
    outage.off = {"find"}

    async def test() -> None:
        async with loaded_registry(settings(poll_seconds=0.01)) as registry:
            registry.watch(lambda: None)
            while outage.failed < 4:  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(0)

    run_test(test())
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.endswith("it is tried again")


def test_what_could_not_be_read_is_loaded_on_request(
    settings: Callable[..., Settings], write_model: WriteModel, outage: Outage
) -> None:
    """At once, without waiting for the next scan."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(settings()) as registry:
            write_model("affine", 2)
            outage.off = {"cat_file"}
            with pytest.raises(StorageError):
                await registry.refresh()
            outage.off = set()
            await registry.load("affine")
            assert ready_versions(registry) == ["affine/2"]

    run_test(test())


def test_a_scan_tells_of_the_loads_that_the_one_before_began(
    settings: Callable[..., Settings], write_model: WriteModel, outage: Outage
) -> None:
    """It raises their error, once, and the metric shows the repository as not seen: no scan waits for its own loads."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(settings(), metrics) as registry:
            seen = seen_seconds(metrics)
            write_model("affine", 2)
            outage.off = {"cat_file"}
            await registry.scan()
            while not any("no route to host" in one.reason for one in registry.statuses()):  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert seen_seconds(metrics) > seen
            seen = seen_seconds(metrics)
            outage.off = set()
            with pytest.raises(StorageError, match="affine/2"):
                await registry.scan()
            assert seen_seconds(metrics) == seen
            await registry.scan()
            assert seen_seconds(metrics) > seen

    run_test(test())


def test_a_cache_that_has_gone(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path, outage: Outage
) -> None:
    """Loaded versions still answer, the error is logged, and scans go on."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(settings()) as registry:
            shutil.rmtree(tmp_path / "cache")
            write_model("affine", 2)
            with pytest.raises(StorageError, match="cannot be written"):
                await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]

    run_test(test())


def test_the_event_loop_turns_while_storage_hangs(
    settings: Callable[..., Settings], write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a stop does not wait for it."""
    write_model("affine", 1)
    hangs, go_on = threading.Event(), threading.Event()

    def hang(*_: Any, **__: Any) -> None:
        hangs.set()
        go_on.wait()
        raise ConnectionError

    async def test() -> None:
        async with loaded_registry(settings()) as registry:
            monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.find", hang)
            looking = asyncio.create_task(registry.refresh())
            while not hangs.is_set():  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(0)
            with registry.lease("affine") as model:
                assert (await model.batcher.submit(np.ones((1, 4), np.float32))).outputs
            looking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await looking

    try:
        run_test(test())
    finally:
        go_on.set()

"""Which versions are served, and how a version takes over from another under load."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from service.errors import ModelNotFound, ModelNotReady, StartupError
from service.metrics.metrics import Metrics
from service.registry.registry import Registry, State
from service.settings import Settings
from service.settings.version_policy import parse_version_policy
from tests.kit.models.repository import WriteModel
from tests.kit.parts.registry import loaded_registry, ready_versions
from tests.kit.waiting import run_test

ROWS = np.ones((1, 4), np.float32)


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("latest", "a", ([3, 2, 1], 1)),
        ("latest:2", "a", ([3, 2, 1], 2)),
        ("all", "a", ([3, 2, 1], 3)),
        ("a=1", "a", ([1], 1)),
        ("all, a=1+3", "a", ([3, 1], 2)),
        ("a=1,latest", "b", ([3, 2, 1], 1)),
        ("a=7", "a", ([], 0)),
    ],
)
def test_a_policy_says_which_versions_of_those_on_disk(text: str, name: str, wanted: tuple[list[int], int]) -> None:
    """Newest first, and how many at most."""
    assert parse_version_policy(text).wanted(name, [1, 3, 2]) == wanted


@pytest.mark.parametrize(
    "text", ["", "newest", "latest:", "latest:0", "latest:x", "a=", "=1", "a=1+", "a=-1", "latest,,"]
)
def test_a_policy_that_makes_no_sense_is_refused_at_the_start(text: str) -> None:
    """The message names the setting and the wrong part."""
    with pytest.raises(ValidationError, match="policy"):
        Settings(versions=text)


@pytest.mark.parametrize(
    ("versions", "served"), [("latest", [3]), ("latest:2", [2, 3]), ("all", [1, 2, 3]), ("affine=1+2", [1, 2])]
)
def test_the_policy_decides_what_is_loaded(
    models: Path, write_model: WriteModel, versions: str, served: list[int]
) -> None:
    """Each loaded version answers by its number, and the newest one without a number."""
    for version in (1, 2, 3):
        write_model("affine", version)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, versions=versions)) as registry:
            assert ready_versions(registry) == [f"affine/{version}" for version in served]
            for version in served:
                with registry.lease("affine", version) as model:
                    assert model.version == version
            with registry.lease("affine") as model:
                assert model.version == served[-1]

    run_test(test())


def test_a_new_version_takes_over_and_the_old_one_finishes_what_it_has(models: Path, write_model: WriteModel) -> None:
    """The old version answers its open leases. It is closed after the last one, and the metrics show it."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models, linger_seconds=0), metrics) as registry:
            with registry.lease("affine") as old:
                write_model("affine", 2)
                assert await registry.refresh()
                with registry.lease("affine") as new:
                    assert (old.version, new.version) == (1, 2)
                with pytest.raises(ModelNotFound, match="no version 1"), registry.lease("affine", 1):
                    pass
                assert (await old.batcher.submit(ROWS)).outputs[0].shape == (1, 1)
                assert metrics.registry.get_sample_value("kan_model_ready", {"model": "affine", "version": "1"}) == 1
            await registry._succession._closing.wait()
            assert metrics.registry.get_sample_value("kan_model_ready", {"model": "affine", "version": "1"}) is None
            assert metrics.registry.get_sample_value("kan_model_ready", {"model": "affine", "version": "2"}) == 1
            assert metrics.registry.get_sample_value("kan_model_swaps_total", {"model": "affine"}) == 1
            assert not await registry.refresh()

    run_test(test())


def test_a_broken_version_is_refused_once_and_taken_when_it_is_whole(models: Path, write_model: WriteModel) -> None:
    """A half-copied version is refused and counted once, while the old one answers. The finished copy takes over."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            folder = write_model("affine", 2)
            whole = (folder / "model.onnx").read_bytes()
            (folder / "model.onnx").write_bytes(whole[:20])
            for _ in range(3):
                await registry.refresh()
                assert ready_versions(registry) == ["affine/1"]
            counted = metrics.registry.get_sample_value(
                "kan_model_refused_total", {"model": "affine", "version": "2", "reason": "checksum"}
            )
            assert counted == 1
            assert registry.ready()
            (folder / "model.onnx").write_bytes(whole)
            assert await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]

    run_test(test())


def test_a_broken_version_is_not_tried_again_because_another_comes(models: Path, write_model: WriteModel) -> None:
    """Its own files have not changed. Only a version that did not fit its predecessors is compared again."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            (write_model("affine", 3) / "model.onnx").write_bytes(b"half")
            await registry.refresh()
            write_model("affine", 2)
            assert await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]
            labels = {"model": "affine", "version": "3", "reason": "checksum"}
            assert metrics.registry.get_sample_value("kan_model_refused_total", labels) == 1

    run_test(test())


@pytest.mark.parametrize("way_out", ["removed", "a newer one", "the model removed", "the model unloaded"])
def test_a_refused_version_that_nobody_wants_any_more_is_not_shown_as_one_that_should_answer(
    models: Path, write_model: WriteModel, way_out: str
) -> None:
    """Its gauge is 0 until its files are gone, a newer version answers or the model is unloaded: no restart needed."""
    write_model("affine", 1)
    broken = write_model("affine", 2)
    (broken / "model.onnx").write_bytes(b"")
    if way_out == "the model removed":
        shutil.rmtree(models / "affine" / "1")

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models), metrics) as registry:
            labels = {"model": "affine", "version": "2"}
            assert metrics.registry.get_sample_value("kan_model_ready", labels) == 0
            match way_out:
                case "removed":
                    shutil.rmtree(broken)
                case "a newer one":
                    write_model("affine", 3)
                case "the model removed":
                    shutil.rmtree(models / "affine")
                case _:
                    await registry.unload("affine")
            await registry.refresh()
            assert metrics.registry.get_sample_value("kan_model_ready", labels) is None

    run_test(test())


@pytest.mark.parametrize("policy", ["all", "latest:2"])
def test_a_refused_version_that_is_wanted_is_shown_whatever_else_answers(
    models: Path, write_model: WriteModel, policy: str
) -> None:
    """If several versions are served, a newer one does not replace one that was refused."""
    for version in (1, 3):
        write_model("affine", version)
    (write_model("affine", 2) / "model.onnx").write_bytes(b"")

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(Settings(models=models, versions=policy), metrics) as registry:
            await registry.refresh()
            assert ready_versions(registry) == ["affine/1", "affine/3"]
            assert metrics.registry.get_sample_value("kan_model_ready", {"model": "affine", "version": "2"}) == 0

    run_test(test())


def test_taking_the_newest_away_goes_back_to_the_one_before(models: Path, write_model: WriteModel) -> None:
    """The way back for an operator: remove the folder."""
    write_model("affine", 1)
    newest = write_model("affine", 2)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            shutil.rmtree(newest)
            assert await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]

    run_test(test())


def test_a_refused_model_whose_files_are_gone_is_unknown(models: Path, write_model: WriteModel) -> None:
    """It is neither loading nor refused any more, whether its folder went or the whole model's."""
    (write_model("affine", 1) / "model.onnx").write_bytes(b"half")
    write_model("imputed", 1)
    (write_model("imputed", 2) / "model.onnx").write_bytes(b"half")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            shutil.rmtree(models / "affine")
            shutil.rmtree(models / "imputed" / "2")
            await registry.refresh()
            assert [(one.name, one.version, one.state) for one in registry.statuses()] == [("imputed", 1, State.READY)]
            with pytest.raises(ModelNotFound, match="unknown"):
                registry.lease("affine")

    run_test(test())


def test_a_refused_version_that_is_not_wanted_stays_refused_when_its_files_change(
    models: Path, write_model: WriteModel
) -> None:
    """A newer version answers, so this one is not loaded and not shown as loading."""
    refused = write_model("affine", 1)
    (refused / "model.onnx").write_bytes(b"half")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            write_model("affine", 2)
            await registry.refresh()
            (refused / "model.onnx").write_bytes(b"another half")
            await registry.refresh()
            assert {one.version: one.state for one in registry.statuses()} == {1: State.REFUSED, 2: State.READY}

    run_test(test())


def test_a_folder_that_is_no_model_is_logged_once_and_again_when_it_comes_back(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    """Any ext4 volume has a lost+found: one line in all, not one for each scan."""
    write_model("affine", 1)
    strange = models / "lost+found"
    strange.mkdir()

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            for _ in range(3):
                await registry.refresh()
            assert caplog.text.count("folder 'lost+found' is passed over") == 1
            strange.rmdir()
            await registry.refresh()
            strange.mkdir()
            for _ in range(3):
                await registry.refresh()
            assert caplog.text.count("folder 'lost+found' is passed over") == 2

    run_test(test())


def test_files_that_vanish_do_not_take_the_service_with_them(models: Path, write_model: WriteModel) -> None:
    """If the last version, the model or the whole repository is removed, loaded versions still answer."""
    folder = write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            for gone in (folder, folder.parent):
                shutil.rmtree(gone)
                await registry.refresh()
                assert ready_versions(registry) == ["affine/1"]
            os.rmdir(models)
            with pytest.raises(StartupError, match="cannot be read"):
                await registry.refresh()
            with registry.lease("affine") as model:
                assert (await model.batcher.submit(ROWS)).outputs[0].shape == (1, 1)
            assert registry.ready()

    run_test(test())


def test_a_model_that_answers_without_files_is_logged_once(
    models: Path, write_model: WriteModel, caplog: pytest.LogCaptureFixture
) -> None:
    """And once more if its files come back and vanish again. A model that does not answer is not worth a warning."""
    write_model("affine", 1)
    (write_model("imputed", 1) / "model.onnx").write_bytes(b"half")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            shutil.rmtree(models / "imputed")
            for _ in range(2):
                shutil.rmtree(models / "affine")
                for _ in range(2):
                    await registry.refresh()
                write_model("affine", 1)
                await registry.refresh()

    run_test(test())
    lines = [record.getMessage() for record in caplog.records if "files are gone" in record.getMessage()]
    assert [line.split(":")[0] for line in lines] == ["model affine"] * 2


def test_models_that_appear_are_served(models: Path, write_model: WriteModel) -> None:
    """From an empty repository to readiness without a restart, by looking every now and then."""

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=0.01)) as registry:
            changed = asyncio.Event()
            registry.watch(changed.set)
            assert registry.unready_reason() == "no model is ready"
            write_model("imputed")
            await changed.wait()
            assert registry.ready()
            await registry.drain()

    run_test(test())


def test_a_watch_that_dies_takes_readiness_with_it(models: Path, write_model: WriteModel) -> None:
    """New versions would never be found, so probes report it.

    An error in a scan does not end it; a cancellation does.
    """
    write_model("affine")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            registry.watch(lambda: None)
            (watch,) = [task for task in asyncio.all_tasks() if task.get_name() == "watch"]
            watch.cancel()
            await asyncio.wait({watch})
            assert "not scanned any more" in registry.unready_reason()

    run_test(test())


def test_swaps_under_load_lose_nothing(models: Path, write_model: WriteModel, answer: Callable[..., Any]) -> None:
    """A new version every few requests while sixteen callers never pause: every request is answered."""
    write_model("affine", 1)
    seen: list[int] = []

    async def caller(registry: Registry, stop: asyncio.Event) -> None:
        while not stop.is_set():
            with registry.lease("affine") as model:
                result = await model.batcher.submit(ROWS)
                seen.append(model.version)
                np.testing.assert_allclose(result.outputs[0], answer("affine", ROWS))

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        await registry.load_all()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as callers:
            for _ in range(16):
                callers.create_task(caller(registry, stop))
            for version in range(2, 12):
                write_model("affine", version)
                await registry.refresh()
            while 11 not in seen:  # noqa: ASYNC110 - callers have no event for this
                await asyncio.sleep(0)
            stop.set()
        assert len(set(seen)) > 5
        await registry.close()
        assert not registry._succession._closing.models

    run_test(test())


def test_a_version_that_is_changed_in_place_is_left_as_it_was_loaded(models: Path, write_model: WriteModel) -> None:
    """A version is never overwritten: the verified files stay in use."""
    folder = write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            (folder / "model.onnx").write_bytes(b"other")
            os.utime(folder / "model.onnx", (1, 1))
            assert not await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]

    run_test(test())


def test_a_model_is_unloaded_and_loaded_again(models: Path, write_model: WriteModel) -> None:
    """After an unload, no new version is loaded until a request loads the model. From then on scans find new ones."""
    write_model("affine", 1)
    write_model("imputed", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            with registry.lease("affine") as model:
                await registry.unload("affine")
                assert (await model.batcher.submit(ROWS)).outputs[0].shape == (1, 1)
            with pytest.raises(ModelNotFound, match="unknown"), registry.lease("affine"):
                pass
            write_model("affine", 2)
            await registry.refresh()
            assert ready_versions(registry) == ["imputed/1"]
            await registry.load("affine")
            assert ready_versions(registry) == ["affine/2", "imputed/1"]
            write_model("affine", 3)
            await registry.refresh()
            assert ready_versions(registry) == ["affine/3", "imputed/1"]

    run_test(test())


def test_a_load_on_request_ends_with_the_version_that_can_be_served(models: Path, write_model: WriteModel) -> None:
    """The newest one is refused, so the previous one is loaded, and the request waits for it."""
    write_model("affine", 1)
    (write_model("affine", 2) / "model.onnx").write_bytes(b"half")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            await registry.unload("affine")
            await registry.load("affine")
            assert ready_versions(registry) == ["affine/1"]

    run_test(test())


def test_an_unload_is_reported(models: Path, write_model: WriteModel) -> None:
    """The callback of `watch` learns of it at once, because health answers follow it."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(Settings(models=models, poll_seconds=3600)) as registry:
            served: list[list[str]] = []
            registry.watch(lambda: served.append(ready_versions(registry)))
            await registry.unload("affine")
            assert served == [[]]

    run_test(test())


def test_of_versions_that_are_all_refused_the_newest_says_why(models: Path, write_model: WriteModel) -> None:
    """It is the one that should answer."""
    (write_model("affine", 1) / "model.onnx").write_bytes(b"half")
    (write_model("affine", 2) / "model.onnx").write_bytes(b"another half")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            with pytest.raises(ModelNotReady, match=r"version 2 .*12 bytes"):
                await registry.load("affine")

    run_test(test())


def test_loading_says_why_it_cannot(models: Path, write_model: WriteModel) -> None:
    """Nothing on disk, or nothing that is whole."""
    (write_model("affine", 1) / "model.onnx").write_bytes(b"half")

    async def test() -> None:
        registry = Registry(Settings(models=models), Metrics())
        with pytest.raises(ModelNotFound):
            await registry.unload("affine")
        await registry.load_all()
        with pytest.raises(ModelNotFound, match="nobody"):
            await registry.load("nobody")
        with pytest.raises(ModelNotReady, match="refused"):
            await registry.load("affine")
        with pytest.raises(ModelNotFound, match="nobody"):
            await registry.unload("nobody")
        await registry.close()

    run_test(test())

"""When refused versions are looked at again."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.errors import StorageError
from service.settings import Settings
from tests.kit.models.repository import WriteModel
from tests.kit.parts.agreeing import two_workers
from tests.kit.parts.registry import loaded_registry, ready_versions
from tests.kit.waiting import run_test, until

_MANIFEST = "manifest.json"


@pytest.mark.parametrize(("refused", "is_found"), [(1, True), (4, True), (5, False)])
def test_a_late_repair_is_found_at_the_next_scan(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch, refused: int, is_found: bool
) -> None:
    """Long after the refusal, where few versions are refused. Of many each is looked at seldom."""
    monkeypatch.setattr("service.registry.refusal._YOUNG_SECONDS", -1.0)
    monkeypatch.setattr("service.registry.refusal._REST_SECONDS", 1e6)
    folders = [write_model("affine", name=f"model{number}") for number in range(refused)]
    texts = [(folder / _MANIFEST).read_text() for folder in folders]
    for folder in folders:
        (folder / _MANIFEST).write_text("{")

    async def test() -> None:
        async with loaded_registry(Settings(models=models)) as registry:
            assert ready_versions(registry) == []
            (folders[0] / _MANIFEST).write_text(texts[0])
            await registry.refresh()
            assert ready_versions(registry) == (["model0/1"] if is_found else [])

    run_test(test())


def test_a_refusal_because_of_another_worker_ends_with_its_cause(models: Path, write_model: WriteModel) -> None:
    """The other worker had read half a file, and reads it again: this one tries the version at its next scan, which is
    sooner than its own pause.
    """
    write_model("affine")

    async def test() -> None:
        async with two_workers(models) as (_, first, second):
            with _half_written(write_model("affine", version=2) / _MANIFEST):
                await first.registry.refresh()
            await second.registry.refresh()
            (refused,) = [each for each in second.registry.statuses("affine") if each.version == 2]
            assert refused.reason.startswith("another worker refused it: manifest.json is not")
            await second.registry.scan()
            assert first.latest() == second.latest() == 1
            loading = asyncio.create_task(first.registry.refresh())
            await until(lambda: second.registry._entries.of("affine")[2].due)
            await second.registry.refresh()
            await loading
            assert first.latest() == second.latest() == 2

    run_test(test())


def test_a_try_that_runs_already_leaves_nothing_to_try(models: Path, write_model: WriteModel) -> None:
    """The other worker tries the version again while this one loads it anew. Later settings that go back to the version
    let it take over at once, as every version that answers: no worker drops it and loads it again.
    """
    write_model("affine")

    async def test() -> None:
        async with two_workers(models) as (_, first, second):
            with _half_written(write_model("affine", version=2) / _MANIFEST):
                await first.registry.refresh()
            await second.registry.refresh()
            entry, slots = second.registry._entries.of("affine")[2], second.registry._loader._slots
            entry.due = True  # its pause is over
            async with slots, slots, slots, slots:
                await second.registry.scan()
                await first.registry.scan()
                await until(lambda: first.member.waits_with(("affine", 2)))
            await until(lambda: first.latest() == second.latest() == 2)

            write_model("affine", version=3)
            await asyncio.gather(first.registry.refresh(), second.registry.refresh())
            await until(lambda: first.latest() == second.latest() == 3)
            settings = Settings(models=models, versions="affine=2")
            for worker in (first, second):
                prepared = await worker.registry.adoption.prepare(settings)
                assert prepared.successors == {"affine": 2}
                await worker.registry.adoption.end(prepared)

    run_test(test())


def test_a_worker_that_cannot_read_a_version_has_no_other_load_it_at_each_scan(
    models: Path, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tries to read the version at each scan. The other one loads it once, and keeps to its own pause."""
    write_model("affine")

    async def test() -> None:
        async with two_workers(models) as (_, first, second):
            write_model("affine", version=2)
            tries: list[str] = []
            read = second.registry._source.read_version

            async def fail(*_: Any) -> Any:
                tries.append("first")
                raise StorageError("storage does not answer", may_pass=True)

            async def succeed(name: str, version: int) -> Any:
                tries.append("second")
                return await read(name, version)

            monkeypatch.setattr(first.registry._source, "read_version", fail)
            monkeypatch.setattr(second.registry._source, "read_version", succeed)
            for _ in range(3):
                with pytest.raises(StorageError):
                    await first.registry.refresh()
                await second.registry.refresh()
            assert sorted(tries) == ["first"] * 3 + ["second"]

    run_test(test())


def test_a_refusal_because_of_a_worker_that_has_ended_ends_too(models: Path, write_model: WriteModel) -> None:
    """Its refusal would keep the worker in its place from calls: that one has loaded the version, and waits for the
    others.
    """
    write_model("affine")

    async def test() -> None:
        async with two_workers(models) as (agreements, first, second):
            with _half_written(write_model("affine", version=2) / _MANIFEST):
                await first.registry.refresh()
            await second.registry.refresh()
            await second.registry.refresh()
            assert second.latest() == 1
            agreements.remove(first.member)
            await until(lambda: second.registry._entries.of("affine")[2].due)
            await second.registry.refresh()
            assert second.latest() == 2

    run_test(test())


@contextmanager
def _half_written(manifest: Path) -> Iterator[None]:
    """The file is cut short; at the end it is whole again."""
    whole = manifest.read_text()
    manifest.write_text(whole[:9])
    yield
    manifest.write_text(whole)

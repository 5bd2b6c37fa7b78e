"""The source alone: versions of an address of storage, listed, read, verified and cached. The local disk, by fsspec."""

import asyncio
import gc
import importlib
import logging
import os
import shutil
import threading
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from service.errors import ModelRefused, StorageError
from service.repository.source import open_source
from service.settings import Settings
from tests.kit.models.repository import WriteModel, move_weights
from tests.kit.parts.storage import cached_files
from tests.kit.waiting import run_test


def test_servers_share_a_cache(settings: Callable[..., Settings], write_model: WriteModel) -> None:
    """Four threads read, publish again and evict at once: every read gives the published bytes."""
    expected = {version: (write_model("affine", version) / "model.onnx").read_bytes() for version in (1, 2, 3)}
    failures: list[BaseException] = []

    async def serve(own: int) -> None:
        for turn in range(30):
            source = open_source(settings())
            listed = await source.list_models()
            assert [version for _, version in listed] == [1, 2, 3]
            for version in expected:
                assert (await source.read_version("affine", version)).model_bytes == expected[version]
            # What this one does not want it takes away from the others.
            shutil.rmtree(next(iter(_cache_of(source).root.glob(f"affine/{own % 3 + 1}")), Path("absent")), True)
            await source.mark_used(partial(list, [("affine", turn % 3 + 1)]))

    def server(own: int) -> None:
        try:
            run_test(serve(own))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=server, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize(("file", "limit"), [("manifest.json", "at most 8388608"), ("model.onnx", "the manifest says")])
def test_a_file_without_end_is_not_fetched(
    file: str, limit: str, settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path
) -> None:
    """Its size is in the listing: 8 TB are refused before the first byte."""
    os.truncate(write_model("affine", 1) / file, 8 * 10**12)

    async def test() -> None:
        source = open_source(settings())
        await source.list_models()
        with pytest.raises(ModelRefused, match=f"{file} has 8000000000000 bytes, {limit}"):
            await source.read_version("affine", 1)

    run_test(test())
    assert cached_files(tmp_path) == []


def test_external_data_is_fetched_and_cached(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path
) -> None:
    """The files that model.onnx names are fetched, and no others. The next start reads them from the cache."""
    folder = write_model("affine", 1)
    move_weights(folder)
    (folder / "report.html").write_text("for people")
    weights = (folder / "weights.bin").read_bytes()

    async def test() -> None:
        source = open_source(settings())
        await source.list_models()
        assert (await source.read_version("affine", 1)).external == {"weights.bin": weights}
        kept = [f"affine/1/{name}" for name in ("manifest.json", "model.onnx", "stamp", "weights.bin")]
        assert cached_files(tmp_path) == kept
        again = open_source(settings())
        await again.list_models()
        cached = _cache_of(again).root / "affine" / "1" / "weights.bin"
        times = cached.stat()
        assert (await again.read_version("affine", 1)).external == {"weights.bin": weights}
        assert (cached.stat().st_ino, cached.stat().st_mtime_ns) == (times.st_ino, times.st_mtime_ns)

    run_test(test())


def test_only_a_list_that_nobody_waits_for_rests(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """250 folders: two rests of some milliseconds."""
    for number in range(250):
        (models / f"m{number}" / "1").mkdir(parents=True)
    rests: list[float] = []
    monkeypatch.setattr("service.repository.source.time.sleep", rests.append)

    async def test() -> None:
        source = open_source(Settings(models=models))
        assert len(await source.list_models()) == 250
        assert sum(rests) == 0
        assert await source.list_models() == await source.list_models(rests=True)
        assert 0.001 <= sum(rests) <= 0.1

    run_test(test())


def test_a_cache_of_an_earlier_release_is_used(
    settings: Callable[..., Settings], write_model: WriteModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files that are not read of a version, such as its report, are no reason to fetch it again."""
    folder = write_model("affine", 1)

    async def test() -> None:
        source = open_source(settings())
        await source.list_models()
        await source.read_version("affine", 1)
        (folder / "report.html").write_text("for people")
        again = open_source(settings())
        await again.list_models()
        place = _cache_of(again).root / "affine" / "1"
        before = place.stat().st_ino
        await again.read_version("affine", 1)
        assert place.stat().st_ino == before

    run_test(test())


def test_a_version_that_goes_between_two_looks(
    settings: Callable[..., Settings], write_model: WriteModel, models: Path
) -> None:
    """It is refused, whether the next scan or the download finds its removal, and causes no other error."""
    write_model("affine", 1)

    async def test() -> None:
        source = open_source(settings())
        await source.list_models()
        shutil.rmtree(models / "affine")
        with pytest.raises(ModelRefused, match=r"manifest\.json is absent"):
            await source.read_version("affine", 1)
        await source.list_models()
        with pytest.raises(ModelRefused, match="any more"):
            await source.read_version("affine", 1)

    run_test(test())


def test_a_cache_that_goes_during_a_download(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is not refused for it: after a restart, or once the folder is back, it is tried again."""
    write_model("affine", 1)
    system: Any = importlib.import_module("fsspec.implementations.local").LocalFileSystem
    whole = system.cat_file

    def remove_and_fetch(*given: Any, **more: Any) -> Any:
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        return whole(*given, **more)

    monkeypatch.setattr(system, "cat_file", remove_and_fetch)

    async def test() -> None:
        source = open_source(settings())
        await source.list_models()
        with pytest.raises(StorageError, match="gone"):
            await source.read_version("affine", 1)

    run_test(test())


def test_a_name_that_no_model_can_have_is_passed_over(
    settings: Callable[..., Settings], write_model: WriteModel, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once; hidden folders and stray files are passed over in silence."""
    write_model("affine", 1)
    for name in ("a space", ".hidden"):
        shutil.copytree(models / "affine", models / name)
    shutil.copy(models / "affine" / "1" / "manifest.json", models)
    shutil.copytree(models / "affine" / "1", models / "affine" / "latest")

    async def test() -> None:
        source = open_source(settings())
        for _ in range(2):
            assert await source.list_models() == [("affine", 1)]

    run_test(test())
    (record,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert "folder 'a space' is passed over" in record.getMessage()


@pytest.mark.parametrize("address", ["{}", "file://{}"], ids=["folder", "storage"])
def test_what_is_passed_over_is_told_once(
    address: str, write_model: WriteModel, models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every ext4 volume has a lost+found: one line, and one more if it is removed and returns."""
    write_model("affine", 1, name="lost+found")

    async def test() -> None:
        source = open_source(Settings(models=address.format(models), cache_folder=str(tmp_path / "cache")))
        for lines in (1, 2):
            for _ in range(3):
                assert await source.list_models() == []
            assert caplog.text.count("folder 'lost+found' is passed over") == lines
            (models / "lost+found").rename(tmp_path / "away")
            assert await source.list_models() == []
            (tmp_path / "away").rename(models / "lost+found")

    run_test(test())


def test_a_name_that_is_too_long_for_a_folder(
    settings: Callable[..., Settings], write_model: WriteModel, models: Path, tmp_path: Path
) -> None:
    """Object storage allows such names, the cache does not: it is skipped, without an error at every scan."""
    write_model("affine", 1)
    files = importlib.import_module("fsspec").filesystem("memory")
    for name in ("affine", "a" * 255, "a" * 256):
        for file in (models / "affine" / "1").iterdir():
            files.pipe_file(f"/{tmp_path.name}/{name}/1/{file.name}", file.read_bytes())

    async def test() -> None:
        source = open_source(settings(models=f"memory://{tmp_path.name}"))
        assert await source.list_models() == [("a" * 255, 1), ("affine", 1)]
        with pytest.raises(ModelRefused, match="names"):
            await source.read_version("a" * 255, 1)

    run_test(test())


def test_what_was_refused_is_not_kept_in_memory(settings: Callable[..., Settings], write_model: WriteModel) -> None:
    """Its error is freed at once, without the garbage collector: its frames hold all bytes that were read."""
    (write_model("affine", 1) / "model.onnx").write_bytes(b"")

    async def test() -> None:
        source = open_source(settings())
        await source.list_models()
        with pytest.raises(ModelRefused) as caught:
            await source.read_version("affine", 1)
        error = weakref.ref(caught.value)
        del caught
        while any(thread.name == "storage" for thread in threading.enumerate()):  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0)
        assert error() is None

    gc.disable()
    try:
        run_test(test())
    finally:
        gc.enable()


def test_a_caller_that_asked_may_leave(
    settings: Callable[..., Settings], write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example a caller that asked for a load and was cancelled: its work ends before the next scan begins."""
    write_model("affine", 1)
    hangs, go_on = threading.Event(), threading.Event()
    system: Any = importlib.import_module("fsspec.implementations.local").LocalFileSystem
    whole, calls = system.find, []

    def hang_once(*given: Any, **more: Any) -> Any:
        found = whole(*given, **more)
        calls.append(found)
        if len(calls) == 1:
            hangs.set()
            go_on.wait()
        return found

    async def test() -> None:
        source = open_source(settings())
        monkeypatch.setattr(system, "find", hang_once)
        first = asyncio.create_task(source.list_models())
        while not hangs.is_set():  # noqa: ASYNC110 - another thread's
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        write_model("affine", 2)
        second = asyncio.create_task(source.list_models())
        await asyncio.wait({second}, timeout=0.2)
        assert len(calls) == 1
        go_on.set()
        assert await second == [("affine", 1), ("affine", 2)]
        assert (await source.read_version("affine", 2)).manifest.version == 2

    try:
        run_test(test())
    finally:
        go_on.set()


def _cache_of(source: Any) -> Any:
    return source._cache

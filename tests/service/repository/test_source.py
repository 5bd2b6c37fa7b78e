"""A registry with models from storage through a cache: the local disk through fsspec, with real models."""

import asyncio
import gc
import importlib
import logging
import os
import shutil
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import ModelNotReady, StorageError
from service.metrics.metrics import Metrics
from service.registry.registry import Registry, State
from service.repository.disk import ModelRefused
from service.repository.source import open_source
from service.settings import Settings
from tests.kit.registry import loaded_registry, ready_versions
from tests.kit.repository import WriteModel, move_weights
from tests.kit.waiting import run_test


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a server of `models` by way of storage; keywords are more of them."""

    def make(**more: Any) -> Settings:
        return Settings(**{"models": f"file://{models}", "cache_folder": str(tmp_path / "cache"), **more})

    return make


def _cached(tmp_path: Path) -> list[str]:
    """The files in the cache, relative to the repository's folder in it."""
    return sorted(
        "/".join(file.relative_to(tmp_path / "cache").parts[1:])
        for file in (tmp_path / "cache").rglob("*")
        if file.is_file() and file.name != ".lock"
    )


def _seen(metrics: Metrics) -> float:
    value = metrics.registry.get_sample_value("kan_repository_seen_timestamp_seconds")
    assert value is not None
    return float(value)


def test_what_is_wanted_is_fetched_and_answers(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    """The newest version of each model: its graph and manifest, no report, and no older version."""
    write_model("affine", 9)
    (write_model("affine", 10) / "report.html").write_text("a report")
    write_model("classifier", 2)

    async def test() -> None:
        metrics = Metrics()
        registry = Registry(settings(), metrics)
        assert _seen(metrics) == 0
        await registry.load_all()
        assert ready_versions(registry) == ["affine/10", "classifier/2"]
        rows = np.ones((3, 4), np.float32)
        with registry.lease("affine") as model:
            np.testing.assert_allclose((await model.batcher.submit(rows)).outputs[0], answer("affine", rows))
        assert _seen(metrics) > 0
        await registry.close()

    run_test(test())
    files = ("manifest.json", "model.onnx", "stamp")
    assert _cached(tmp_path) == [f"{one}/{file}" for one in ("affine/10", "classifier/2") for file in files]


def test_versions_come_and_are_taken_back(
    settings: Callable[..., Settings], write_model: WriteModel, models: Path
) -> None:
    """As in a folder: the newest takes over, and after its removal the previous one answers again."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(settings()) as registry:
            folder = write_model("affine", 2)
            assert await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]
            shutil.rmtree(folder)
            assert await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]
            shutil.rmtree(models / "affine")
            assert not await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]

    run_test(test())


@pytest.mark.parametrize("on_request", [True, False])
def test_a_load_on_request_tidies_up(
    settings: Callable[..., Settings],
    write_model: WriteModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    on_request: bool,
) -> None:
    """So does a scan, which a server may never do. Otherwise every version that was served would stay cached."""
    write_model("affine", 1)
    monkeypatch.setattr("service.repository.cache._UNUSED_SECONDS", -1.0)

    async def test() -> None:
        async with loaded_registry(settings(poll_seconds=0)) as registry:
            write_model("affine", 2)
            if on_request:
                await registry.load("affine")
            else:
                await registry.refresh()
                await registry.scan()
            assert ready_versions(registry) == ["affine/2"]

    run_test(test())
    assert _cached(tmp_path) == [f"affine/2/{file}" for file in ("manifest.json", "model.onnx", "stamp")]


def test_a_version_without_a_manifest_is_none_yet(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Uploaders write it last: until then nothing is refused, counted or logged."""
    write_model("affine", 1)
    folder = write_model("affine", 2)
    (folder / "manifest.json").rename(tmp_path / "manifest.json")

    async def test() -> None:
        async with loaded_registry(settings()) as registry:
            assert [status.version for status in registry.statuses()] == [1]
            (tmp_path / "manifest.json").rename(folder / "manifest.json")
            await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]

    run_test(test())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("kind", "match"),
    [("missing", "model.onnx is absent"), ("checksum", "sha256"), ("checksum", "bytes"), ("manifest", "is not a")],
)
def test_a_broken_version_is_refused_once_and_never_cached(
    kind: str,
    match: str,
    settings: Callable[..., Settings],
    write_model: WriteModel,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """For the same reasons as in a folder; the one before answers, and put right, the version is taken."""
    write_model("affine", 1)
    folder = write_model("affine", 2)
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    model = whole["model.onnx"]
    if match == "sha256":
        (folder / "model.onnx").write_bytes(model[:-1] + bytes([model[-1] ^ 1]))
    elif match == "bytes":
        (folder / "model.onnx").write_bytes(model[: len(model) // 2])
    elif kind == "missing":
        (folder / "model.onnx").unlink()
    else:
        (folder / "manifest.json").write_bytes(b"{")

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(settings(), metrics) as registry:
            await registry.refresh()
            labels = {"model": "affine", "version": "2", "reason": kind}
            assert metrics.registry.get_sample_value("kan_model_refused_total", labels) == 1
            refused = next(status for status in registry.statuses() if status.state is State.REFUSED)
            assert match in refused.reason
            assert ready_versions(registry) == ["affine/1"]
            assert "affine/2/model.onnx" not in _cached(tmp_path)
            for name, content in whole.items():
                (folder / name).write_bytes(content)
            await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]
            assert next(status for status in registry.statuses() if status.version == 2).reason == ""

    run_test(test())
    assert caplog.text.count("affine version 2 refused") == 1


def test_an_older_version_that_cannot_be_read_keeps_no_newer_one_away(
    settings: Callable[..., Settings],
    write_model: WriteModel,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is archived, or access to it is refused: the new version is not compared with it, and the log says so."""
    write_model("affine", 1)
    write_model("affine", 2)
    system: Any = importlib.import_module("fsspec.implementations.local").LocalFileSystem
    read = system.cat_file

    def cat_file(self: Any, path: str, **more: Any) -> Any:
        if "affine/1/" in path:
            raise PermissionError("access is refused")
        return read(self, path, **more)

    async def test() -> None:
        monkeypatch.setattr(system, "cat_file", cat_file)
        async with loaded_registry(settings()) as registry:
            assert ready_versions(registry) == ["affine/2"]

    run_test(test())
    assert "new versions are not compared with version 1" in caplog.text


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
            assert _seen(metrics) == 0
            shutil.move(away, models)
            write_model("affine", 2)
            assert await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]
            assert _seen(metrics) > 0

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


class _Cut:
    """A storage whose network can be cut for one kind of call, "find" or "cat_file"; counts the calls that failed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off: set[str] = set()
        self.failed = 0
        system = importlib.import_module("fsspec.implementations.local").LocalFileSystem
        for name in ("find", "cat_file"):
            self._wrap(system, name, monkeypatch)

    def _wrap(self, kind: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = getattr(kind, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            if name in self.off:
                self.failed += 1
                raise ConnectionError("no route to host")
            return whole(*arguments, **keywords)

        monkeypatch.setattr(kind, name, call)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> _Cut:
    """The storage's network, whole at first."""
    return _Cut(monkeypatch)


@pytest.mark.parametrize("what", ["find", "cat_file"])
def test_a_start_waits_for_storage_that_may_come_back(
    what: str, settings: Callable[..., Settings], write_model: WriteModel, cut: _Cut
) -> None:
    """With an empty cache the server is live and not ready, has a reason, and tells callers to try again."""
    write_model("affine", 1)
    cut.off = {what}

    async def test() -> None:
        with pytest.raises(StorageError, match="no route to host"):
            await Registry(settings(poll_seconds=0), Metrics()).load_all()
        async with loaded_registry(settings()) as registry:
            assert not registry.ready()
            with pytest.raises(ModelNotReady), registry.lease("affine"):
                pass
            if what == "find":
                assert "no route to host" in registry.unready_reason()
            cut.off = set()
            await registry.refresh()
            assert registry.ready()

    run_test(test())


def test_what_cannot_be_read_now_is_not_refused(
    settings: Callable[..., Settings], write_model: WriteModel, cut: _Cut
) -> None:
    """The version is tried again at the next scan, with the same files. Other models are scanned too."""
    write_model("affine", 1)
    write_model("classifier", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(settings(), metrics) as registry:
            write_model("affine", 2)
            cut.off = {"cat_file"}
            for _ in range(2):
                with pytest.raises(StorageError, match="affine/2"):
                    await registry.refresh()
            assert ready_versions(registry) == ["affine/1", "classifier/1"]
            assert registry.ready()
            assert "kan_model_refused_total" not in {
                sample.name for metric in metrics.registry.collect() for sample in metric.samples
            }
            cut.off = set()
            await registry.refresh()
            assert ready_versions(registry) == ["affine/2", "classifier/1"]

    run_test(test())


def test_scans_do_not_repeat_the_error_of_the_start(
    settings: Callable[..., Settings], cut: _Cut, caplog: pytest.LogCaptureFixture
) -> None:
    """It is in the log once, however often the storage is tried again."""
    cut.off = {"find"}

    async def test() -> None:
        async with loaded_registry(settings(poll_seconds=0.01)) as registry:
            registry.watch(lambda: None)
            while cut.failed < 4:  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(0)

    run_test(test())
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.endswith("it is tried again")


def test_what_could_not_be_read_is_loaded_on_request(
    settings: Callable[..., Settings], write_model: WriteModel, cut: _Cut
) -> None:
    """At once, without waiting for the next scan."""
    write_model("affine", 1)

    async def test() -> None:
        async with loaded_registry(settings()) as registry:
            write_model("affine", 2)
            cut.off = {"cat_file"}
            with pytest.raises(StorageError):
                await registry.refresh()
            cut.off = set()
            await registry.load("affine")
            assert ready_versions(registry) == ["affine/2"]

    run_test(test())


def test_a_scan_tells_of_the_loads_that_the_one_before_began(
    settings: Callable[..., Settings], write_model: WriteModel, cut: _Cut
) -> None:
    """It raises their error, once, and the metric shows the repository as not seen: no scan waits for its own loads."""
    write_model("affine", 1)

    async def test() -> None:
        metrics = Metrics()
        async with loaded_registry(settings(), metrics) as registry:
            seen = _seen(metrics)
            write_model("affine", 2)
            cut.off = {"cat_file"}
            await registry.scan()
            while not any("no route to host" in one.reason for one in registry.statuses()):  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert _seen(metrics) > seen
            seen = _seen(metrics)
            cut.off = set()
            with pytest.raises(StorageError, match="affine/2"):
                await registry.scan()
            assert _seen(metrics) == seen
            await registry.scan()
            assert _seen(metrics) > seen

    run_test(test())


def test_a_start_with_a_warm_cache_fetches_nothing(
    settings: Callable[..., Settings], write_model: WriteModel, cut: _Cut
) -> None:
    """It needs one listing, and downloads no cached file."""
    write_model("affine", 1)

    async def test() -> None:
        for off in (set(), {"cat_file"}):
            cut.off = off
            async with loaded_registry(settings()) as registry:
                assert ready_versions(registry) == ["affine/1"]

    run_test(test())


def test_a_damaged_cache_is_fetched_anew(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path
) -> None:
    """Cached files are verified like all others."""
    write_model("affine", 1)

    async def serves() -> None:
        async with loaded_registry(settings()) as registry:
            assert ready_versions(registry) == ["affine/1"]

    run_test(serves())
    (file,) = (tmp_path / "cache").rglob("model.onnx")
    whole = file.read_bytes()
    for damaged in (whole[:-1] + b"x", b""):
        file.write_bytes(damaged)
        run_test(serves())
        assert file.read_bytes() == whole


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
            await source.mark_used([("affine", turn % 3 + 1)])

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


def _cache_of(source: Any) -> Any:
    return source._cache


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
    assert _cached(tmp_path) == []


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
        assert _cached(tmp_path) == kept
        again = open_source(settings())
        await again.list_models()
        cached = _cache_of(again).root / "affine" / "1" / "weights.bin"
        times = cached.stat()
        assert (await again.read_version("affine", 1)).external == {"weights.bin": weights}
        assert (cached.stat().st_ino, cached.stat().st_mtime_ns) == (times.st_ino, times.st_mtime_ns)

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


@pytest.mark.parametrize(
    ("harm", "kind", "match"),
    [
        (lambda file: file.unlink(), "missing", "weights.bin is absent"),
        (lambda file: file.write_bytes(b"x"), "checksum", "weights.bin has 1 bytes, the manifest says 20"),
        (lambda file: file.write_bytes(b"x" * 20), "checksum", "weights.bin has sha256"),
    ],
)
def test_external_data_that_does_not_fit_is_refused_until_it_does(
    harm: Callable[[Path], object],
    kind: str,
    match: str,
    settings: Callable[..., Settings],
    write_model: WriteModel,
    tmp_path: Path,
) -> None:
    """For the same reasons as in a folder, and never cached; put right, the version is taken."""
    folder = write_model("affine", 1)
    move_weights(folder)
    weights = (folder / "weights.bin").read_bytes()
    harm(folder / "weights.bin")

    async def test() -> None:
        async with loaded_registry(settings()) as registry:
            (status,) = registry.statuses()
            assert (status.state, match in status.reason) == (State.REFUSED, True)
            assert _cached(tmp_path) == []
            (folder / "weights.bin").write_bytes(weights)
            await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]

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


def test_a_cache_that_has_gone(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path, cut: _Cut
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


def test_who_asked_may_go(
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

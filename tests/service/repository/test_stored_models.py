"""A registry of models from storage, by way of a cache: which versions answer, and what the cache then holds."""

import importlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.metrics.metrics import Metrics
from service.registry.registry import Registry, State
from service.settings import Settings
from tests.kit.models.repository import WriteModel, move_weights
from tests.kit.parts.registry import loaded_registry, ready_versions
from tests.kit.parts.storage import Outage, cached_files, seen_seconds
from tests.kit.waiting import run_test


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
        assert seen_seconds(metrics) == 0
        await registry.load_all()
        assert ready_versions(registry) == ["affine/10", "classifier/2"]
        rows = np.ones((3, 4), np.float32)
        with registry.lease("affine") as model:
            np.testing.assert_allclose((await model.batcher.submit(rows)).outputs[0], answer("affine", rows))
        assert seen_seconds(metrics) > 0
        await registry.close()

    run_test(test())
    files = ("manifest.json", "model.onnx", "stamp")
    assert cached_files(tmp_path) == [f"{one}/{file}" for one in ("affine/10", "classifier/2") for file in files]


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
    assert cached_files(tmp_path) == [f"affine/2/{file}" for file in ("manifest.json", "model.onnx", "stamp")]


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
            assert "affine/2/model.onnx" not in cached_files(tmp_path)
            for name, content in whole.items():
                (folder / name).write_bytes(content)
            await registry.refresh()
            assert ready_versions(registry) == ["affine/2"]
            assert next(status for status in registry.statuses() if status.version == 2).reason == ""

    run_test(test())
    assert caplog.text.count("affine version 2 refused") == 1


@pytest.mark.parametrize(
    ("harm", "kind", "match"),
    [
        (lambda file: file.unlink(), "missing", "weights.bin is absent"),
        (lambda file: file.write_bytes(b"x"), "checksum", "weights.bin has 1 bytes"),
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
            assert cached_files(tmp_path) == []
            (folder / "weights.bin").write_bytes(weights)
            await registry.refresh()
            assert ready_versions(registry) == ["affine/1"]

    run_test(test())


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
    assert "not compared with version 1" in caplog.text


def test_a_start_with_a_warm_cache_fetches_nothing(
    settings: Callable[..., Settings], write_model: WriteModel, outage: Outage
) -> None:
    """It needs one listing, and downloads no cached file."""
    write_model("affine", 1)

    async def test() -> None:
        for off in (set(), {"cat_file"}):
            outage.off = off
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

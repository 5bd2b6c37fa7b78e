"""attribution.onnx of a version from storage: fetched when it is first asked for, and kept in the cache."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.errors import ModelNotReady
from service.metrics.metrics import Metrics
from service.registry.model.live_model import LiveModel
from service.registry.registry import Registry
from service.settings import Settings
from tests.kit.models.attributions import REFERENCE, add_attribution, contributions
from tests.kit.models.repository import WriteModel
from tests.kit.parts.storage import Outage, cached_files
from tests.kit.waiting import run_test

_ROW = np.array([[0.5, -1, 2, 8]], np.float32)
_FILE = "affine/1/attribution.onnx"


async def _check_contributions(model: LiveModel) -> None:
    assert model.attribution is not None
    result = await model.attribution.submit(np.concatenate([_ROW, REFERENCE[np.newaxis]], axis=1))
    np.testing.assert_allclose(result.outputs[0], contributions("affine", _ROW), rtol=1e-5)


def test_it_is_fetched_once_and_kept(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path, outage: Outage
) -> None:
    """A load does not fetch it, the first request does. After a restart without storage the cache gives it."""
    add_attribution(write_model("affine"))

    async def test() -> None:
        for is_cached in (False, True):
            if is_cached:
                outage.off = {"find", "cat_file"}
            registry = Registry(settings(poll_seconds=0), Metrics())
            await registry.load_all()
            assert (_FILE in cached_files(tmp_path)) == is_cached
            with registry.lease("affine") as model:
                await _check_contributions(model)
            assert _FILE in cached_files(tmp_path)
            await registry.close()

    run_test(test())


def test_after_a_restart_without_storage_it_is_unavailable(
    settings: Callable[..., Settings],
    write_model: WriteModel,
    tmp_path: Path,
    outage: Outage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A version that was cached before anybody asked for contributions: try later, there is nothing to tune."""
    add_attribution(write_model("affine"))

    async def test() -> None:
        for is_cached in (False, True):
            if is_cached:
                outage.off = {"find", "cat_file"}
            registry = Registry(settings(poll_seconds=0), Metrics())
            await registry.load_all()
            if is_cached:
                with registry.lease("affine") as model:
                    with pytest.raises(ModelNotReady, match="the storage has not answered yet") as caught:
                        await _check_contributions(model)
                    assert "tune" not in str(caught.value)
                    await model.batcher.submit(_ROW)
            await registry.close()

    run_test(test())
    assert _FILE not in cached_files(tmp_path)
    assert "the storage has not answered yet" in caplog.text


def test_a_damaged_copy_is_fetched_anew(
    settings: Callable[..., Settings], write_model: WriteModel, tmp_path: Path
) -> None:
    """Its sha256 is compared with the manifest each time it is read, from the cache too."""
    add_attribution(write_model("affine"))

    async def test() -> None:
        for _ in range(2):
            registry = Registry(settings(poll_seconds=0), Metrics())
            await registry.load_all()
            with registry.lease("affine") as model:
                await _check_contributions(model)
            await registry.close()
            (cached,) = (tmp_path / "cache").rglob("attribution.onnx")
            cached.write_bytes(b"damaged")

    run_test(test())


def test_storage_that_fails_meanwhile_is_told(
    settings: Callable[..., Settings],
    write_model: WriteModel,
    tmp_path: Path,
    outage: Outage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error is UNAVAILABLE and names the file; predictions go on and nothing is left in the cache."""
    add_attribution(write_model("affine"))

    async def test() -> None:
        registry = Registry(settings(poll_seconds=0), Metrics())
        await registry.load_all()
        outage.off = {"cat_file"}
        with registry.lease("affine") as model:
            with pytest.raises(ModelNotReady, match=r"attribution\.onnx.*no route to host"):
                await _check_contributions(model)
            await model.batcher.submit(_ROW)
        await registry.close()

    run_test(test())
    assert _FILE not in cached_files(tmp_path)
    assert "attribution.onnx" in caplog.text

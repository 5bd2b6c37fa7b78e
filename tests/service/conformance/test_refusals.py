"""Versions that would need too much of a server: each is refused alone, and callers notice nothing."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import ModelManifest
from service.client import Client
from tests.kit.callers.calls import ask, ask_inference
from tests.kit.models.repository import WriteModel, move_weights
from tests.kit.server.kan_serve import Start
from tests.kit.waiting import until_elsewhere

_ONES = np.ones((1, 4), np.float32)


def _named(manifest: ModelManifest, change: Callable[[ModelManifest], object]) -> None:
    manifest.name = "affine"
    change(manifest)


@pytest.mark.slow
def test_versions_that_are_too_large_are_refused_alone(start: Start, models: Path, write_model: WriteModel) -> None:
    """8 TB of model, a width of 2^40, a recipe of 17 MB, a name of 20 MB, one of 300 kB: the version before answers.

    The server stays ready, lists them with short reasons, writes short lines, and takes the good version that follows.
    """
    write_model("affine", 1)
    server = start("--poll-seconds", "0.05")
    changes: list[Callable[[ModelManifest], object]] = [
        lambda manifest: setattr(manifest.files[0], "size_bytes", 8 * 10**12),
        lambda manifest: manifest.outputs[0].shape.__setitem__(1, 2**40),
        lambda manifest: setattr(manifest, "recipe", "#" * 17_000_000),
        lambda manifest: setattr(manifest, "name", "n" * 20_000_000),
        lambda manifest: setattr(manifest, "name", "n" * 300_000),
    ]
    for version, change in enumerate(changes, 2):
        folder = write_model(
            "affine", version, name=".apart", change=lambda manifest, change=change: _named(manifest, change)
        )
        if version == 2:
            os.truncate(folder / "model.onnx", 8 * 10**12)
        folder.rename(models / "affine" / str(version))

    async def check() -> None:
        await until_elsewhere(lambda: server.sample("kan_model_refused_total", model="affine") >= len(changes))
        assert server.is_ready()
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            statuses = (await ask(channel, "ListModels")).models
            index = (await ask_inference(channel, "RepositoryIndex")).models
            assert [status.state for status in statuses] == [pb.MODEL_STATE_READY, *[pb.MODEL_STATE_REFUSED] * 5]
            reasons = [status.reason for status in statuses]
            assert reasons == [one.reason for one in index]
            assert all(0 < len(reason) <= 512 for reason in reasons[1:])
        with Client(server.grpc) as client:
            assert client.predict("affine", {f"x{number}": 1.0 for number in range(4)}).version == 1
            write_model("affine", 7)
            await until_elsewhere(lambda: client.predict("affine", _ONES).version == 7)

    asyncio.run(check())
    code, log = server.stop()
    assert code == 0
    assert "Traceback" not in log
    assert max(map(len, log.splitlines())) < 1200


@pytest.mark.parametrize("listed", [True, False])
def test_weights_are_those_of_the_versions_folder(
    start: Start, write_model: WriteModel, answer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """Weights in the manifest are used. Other ones refuse the version, whatever files the working directory has."""
    write_model("classifier", 1)
    move_weights(write_model("classifier", 2), listed=listed)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "weights.bin").write_bytes(bytes(1000))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.getcwd(), f"{os.getcwd()}/proto"]))
    monkeypatch.chdir(elsewhere)
    server = start()
    with Client(server.grpc) as client:
        prediction = client.predict("classifier", _ONES)
        assert prediction.version == (2 if listed else 1)
        np.testing.assert_allclose(prediction.values, answer("classifier", _ONES), rtol=1e-5)
        (reason,) = [info.reason for info in client.models() if info.version == 2]
        assert ("weights.bin" in reason) == (not listed)

"""Versions that would need too much of a server: each is refused alone, and callers notice nothing."""

import asyncio
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest

from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import ModelManifest
from open_inference import grpc_predict_v2_pb2 as oip
from service.client import Client

Start = Callable[..., Any]
WriteModel = Callable[..., Path]

_ONES = np.ones((1, 4), np.float32)


def _ready(server: Any) -> bool:
    with urllib.request.urlopen(f"http://{server.http}/readyz", timeout=10) as answer:
        return bool(answer.status == 200)


def _named(manifest: ModelManifest, change: Callable[[ModelManifest], object]) -> None:
    manifest.name = "affine"
    change(manifest)


def test_versions_that_are_too_large_are_refused_alone(
    start: Start, models: Path, write_model: WriteModel, sample: Any, until: Any
) -> None:
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
        await until(lambda: sample(server, "kan_model_refused_total", model="affine") >= len(changes))
        assert _ready(server)
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            listing: Any = channel.unary_unary(
                "/kan_api.v1.PredictionService/ListModels",
                pb.ListModelsRequest.SerializeToString,
                pb.ListModelsResponse.FromString,
            )
            index: Any = channel.unary_unary(
                "/inference.GRPCInferenceService/RepositoryIndex",
                oip.RepositoryIndexRequest.SerializeToString,
                oip.RepositoryIndexResponse.FromString,
            )
            statuses = (await listing(pb.ListModelsRequest())).models
            assert [status.state for status in statuses] == [pb.MODEL_STATE_READY, *[pb.MODEL_STATE_REFUSED] * 5]
            reasons = [status.reason for status in statuses]
            assert reasons == [one.reason for one in (await index(oip.RepositoryIndexRequest())).models]
            assert all(0 < len(reason) <= 512 for reason in reasons[1:])
        with Client(server.grpc) as client:
            assert client.predict("affine", {f"x{number}": 1.0 for number in range(4)}).version == 1
            write_model("affine", 7)
            await until(lambda: client.predict("affine", _ONES).version == 7)

    asyncio.run(check())
    server.process.terminate()
    code, _, log = server.finish()
    assert code == 0
    assert "Traceback" not in log
    assert max(map(len, log.splitlines())) < 1200


@pytest.mark.parametrize("listed", [True, False])
def test_weights_are_those_of_the_versions_folder(
    start: Start,
    write_model: WriteModel,
    move_weights: Callable[..., None],
    answer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listed: bool,
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
        reasons = [info.reason for info in client.models() if info.version == 2]
        assert reasons == ([""] if listed else ["manifest.json lists weights.bin 0 times, wanted once"])

"""One bad version harms nothing but itself: not readiness, not other models, not the next start."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.callers.calls import ask, predict
from tests.kit.models.repository import WriteModel, make_endless
from tests.kit.server.kan_serve import KanServe, Start

# A load of the good models takes seconds where other tests keep the cores busy.
_FLAGS = ("--poll-seconds", "0.1", "--max-load-seconds", "20")


def _sparse(folder: Path) -> None:
    """8 TB that take no room on disk, and a manifest that says so."""
    os.truncate(folder / "model.onnx", 8 * 2**40)
    _edit(folder, lambda manifest: manifest["files"][0].update(size_bytes=8 * 2**40))


def _wide(exponent: int) -> Callable[[Path], None]:
    """An output whose rows are too large for any memory."""
    return lambda folder: _edit(folder, lambda manifest: manifest["outputs"][0].update(shape=[-1, 2**exponent]))


def _edit(folder: Path, change: Callable[[Any], object]) -> None:
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["8 TB", "2^62 columns", "2^40 columns", "a run that never returns"])
def test_a_bad_version_is_refused_alone(start: Start, write_model: WriteModel, trouble: str) -> None:
    """The version before it answers, the server stays ready, the next good one is taken; after a restart, too."""
    spoil = {"8 TB": _sparse, "2^62 columns": _wide(62), "2^40 columns": _wide(40)}.get(trouble, make_endless)
    write_model("affine", 1)
    write_model("slow", 1)

    async def versions(channel: grpc.aio.Channel) -> dict[tuple[str, int], int]:
        response = await ask(channel, "ListModels")
        return {(each.name, each.version): each.state for each in response.models}

    async def check(server: KanServe, bad: int, good: int) -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            async with asyncio.timeout(60):
                while (await versions(channel)).get(("affine", bad)) != pb.MODEL_STATE_REFUSED:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert await asyncio.to_thread(server.is_ready)
            assert (await predict(channel, "slow")).version == 1
            write_model("affine", good)
            async with asyncio.timeout(60):
                while (await predict(channel, "affine")).version != good:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    server = start(*_FLAGS)
    write_model("affine", 2, spoil=spoil)
    asyncio.run(check(server, 2, 3))
    code, log = server.stop()
    assert (code, log.count("affine version 2 refused")) == (0, 1)
    write_model("affine", 4, spoil=spoil)
    asyncio.run(check(start(*_FLAGS), 4, 5))

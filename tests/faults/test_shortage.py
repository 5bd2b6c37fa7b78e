"""A server whose memory does not suffice for a new version, until it does."""

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.kit.callers.protocols import KanApi
from tests.kit.models.graphs import constant
from tests.kit.models.repository import read_manifest
from tests.kit.server.kan_serve import Start
from tests.kit.waiting import wait_for
from training.publishing.publish import publish

pytestmark = pytest.mark.faults

_ROWS = np.array([[0, 1, 2, 0.5]], np.float32)
_PADDING_BYTES = 256 * 2**20
# What else the server may want meanwhile.
_SPARE_BYTES = 128 * 2**20


def _heavy(graph: bytes) -> bytes:
    """The same graph with a constant that nothing reads."""
    model = onnx.ModelProto.FromString(graph)
    model.graph.initializer.append(constant("padding", np.zeros(_PADDING_BYTES, np.uint8)))
    return model.SerializeToString()


def _limit(pid: int, bytes_: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_AS, (bytes_, resource.RLIM_INFINITY))


@pytest.mark.timeout(240)
def test_a_version_that_there_was_no_memory_for_answers_once_there_is(
    kan_serve: Start, publish_version: Callable[..., Path], models: Path, graphs: Any
) -> None:
    """Its files are whole: it is refused for now, the old one answers, and nobody has to publish or restart."""
    publish_version("kan")
    server = kan_serve("--poll-seconds", "0.2", "--max-model-bytes", str(2**30))
    before = {process.pid: process.memory_info().vms for process in server.processes()}
    for pid, found in before.items():
        _limit(pid, found + _SPARE_BYTES)
    manifest = read_manifest(models / "kan" / "1")
    publish(models, manifest, lambda version: {"model.onnx": _heavy(graphs.shifted("kan", version))})

    async def answered_by(version: int) -> None:
        async with server.channel() as channel:
            method = channel.unary_unary(KanApi.path)
            async with asyncio.timeout(90):
                while True:
                    _, got, values = KanApi.answer(await method(KanApi.request("kan", _ROWS), timeout=30))
                    np.testing.assert_allclose(values, graphs.answer("kan", _ROWS) + got, atol=1e-4)
                    if got == version:
                        return
                    await asyncio.sleep(0.05)

    wait_for(lambda: server.sample("kan_model_refused_total", reason="resources") > 0, "a refusal")
    assert server.is_ready()
    asyncio.run(answered_by(1))
    for pid in before:
        _limit(pid, resource.RLIM_INFINITY)
    asyncio.run(answered_by(2))
    code, log = server.stop()
    assert code == 0, log
    assert "it is tried again" in log
    assert "cannot be watched" not in log

"""A disk that is full while a version is published."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.kit.callers.protocols import PROTOCOLS
from tests.kit.longest_file import longest_file
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import wait_for
from training.errors import SystemFailed

pytestmark = pytest.mark.faults

_ROWS = np.array([[0, 1, 2, 0.5]], np.float32)
_DISK_BYTES = 2**20


@pytest.fixture
def small_disk(models: Path) -> Iterator[Path]:
    """The model repository on a file system of 1 MiB."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(models)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    except FileNotFoundError:
        pytest.skip("there is no program `mount` here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield models
    subprocess.run(["umount", "--lazy", str(models)], check=True, timeout=90)


@pytest.fixture
def assert_answers(graphs: Any) -> Callable[[Any, int], None]:
    """Fails unless a server is ready and answers by a version; call it with server and version."""
    expected = graphs.answer("kan", _ROWS)

    async def ask(server: KanServe, wanted: int) -> None:
        async with server.channel() as channel:
            for protocol in PROTOCOLS:
                answer = await channel.unary_unary(protocol.path)(protocol.request("kan", _ROWS), timeout=90)
                _, version, values = protocol.answer(answer)
                assert version == wanted, f"version {version} answered, wanted {wanted}"
                np.testing.assert_allclose(values, expected + version, atol=1e-4)

    def check(server: KanServe, version: int) -> None:
        assert server.is_ready()
        asyncio.run(ask(server, version))

    return check


def test_the_disk_is_full(
    small_disk: Path,
    kan_serve: Start,
    publish_version: Callable[..., Path],
    assert_answers: Callable[[Any, int], None],
) -> None:
    """Publishing fails and says why, nothing of it is left, what answers goes on; with room again it works."""
    publish_version("kan")
    server = kan_serve("--poll-seconds", "0.02")
    before = _files(small_disk)
    with pytest.raises(SystemFailed, match="No space left"):
        publish_version("kan", padding_bytes=2 * _DISK_BYTES)
    assert _files(small_disk) == before
    assert_answers(server, 1)
    assert publish_version("kan", padding_bytes=_DISK_BYTES // 4).name == "2"
    wait_for(lambda: server.sample("kan_model_ready", model="kan", version="2") == 1, "version 2")
    assert_answers(server, 2)
    code, log = server.stop()
    assert code == 0, log
    assert "refused" not in log, log


def test_the_last_byte_does_not_fit(
    models: Path,
    kan_serve: Start,
    publish_version: Callable[..., Path],
    assert_answers: Callable[[Any, int], None],
) -> None:
    """The same without a disk of its own, wherever the writing stops: a file may not be longer than so many bytes."""
    publish_version("kan")
    server = kan_serve("--poll-seconds", "0.02")
    before = _files(models)
    size = (models / "kan" / "1" / "model.onnx").stat().st_size
    for limit in (0, 1, size // 2, size - 1):
        with pytest.raises(SystemFailed, match="File too large"), longest_file(limit):
            publish_version("kan")
        assert _files(models) == before, f"left after {limit} bytes: {_files(models)}"
    assert_answers(server, 1)
    code, log = server.stop()
    assert code == 0, log
    assert "refused" not in log, log


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))

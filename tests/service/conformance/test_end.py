"""The process ends in time, even if something in it hangs: a run, a read, or a pipe that is not read."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import psutil
import pytest

from kan_api.v1 import prediction_pb2 as pb
from tests.kit.models.graphs import endless_where_large
from tests.kit.models.repository import WriteModel, replace_graph
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.waiting import seconds_until, until_elsewhere, wait_for

_GRACE_SECONDS = 1.0
# The contract, whatever hangs: docs/operations.md.
_LONGEST_STOP_SECONDS = _GRACE_SECONDS + 5
# A second signal ends the process at once: in a second, and as much again for a busy machine.
_AT_ONCE_SECONDS = 2.0
_ENDED, _ABANDONED = 0, 3
_MNT_DETACH = 2


def _hang(channel: grpc.aio.Channel) -> Any:
    """Asks for a run that never returns."""
    method: Any = channel.unary_unary("/kan_api.v1.PredictionService/Predict")
    features = pb.Matrix(rows=1, columns=4, values=[3, 1, 1, 1])
    return method(pb.PredictRequest(model="endless", features=features).SerializeToString())


def _seconds_to_end(server: KanServe) -> float:
    """Wait for the end of the process; how long that took."""
    return seconds_until(lambda: server.process.poll() is not None, "the end of the process")


@pytest.mark.slow
@pytest.mark.parametrize("wide", [False, True], ids=["on the event loop", "in a thread"])
def test_a_run_that_never_returns(start: Start, write_model: WriteModel, wide: bool) -> None:
    """After SIGTERM the process ends within grace + 5 s.

    The caller gets a status; exit code and log report the hang.
    """
    replace_graph(write_model("affine", name="endless"), endless_where_large(wide=wide))
    server = start("--grace-seconds", str(_GRACE_SECONDS))

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            call = asyncio.ensure_future(_hang(channel))
            await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="endless") == 1)
            server.signal(signal.SIGTERM)
            seconds = await asyncio.to_thread(_seconds_to_end, server)
            assert _GRACE_SECONDS <= seconds <= _LONGEST_STOP_SECONDS
            with pytest.raises(grpc.aio.AioRpcError):
                await call

    asyncio.run(check())
    code, _, log = server.finish()
    assert code == _ABANDONED, log
    assert "session.py" in log, "the log says where it hangs"


@pytest.mark.slow
@pytest.mark.parametrize("wide", [False, True], ids=["on the event loop", "in a thread"])
def test_a_second_signal_ends_a_run_that_never_returns(start: Start, write_model: WriteModel, wide: bool) -> None:
    """At once, whatever the grace period; with 0, since that was asked for."""
    replace_graph(write_model("affine", name="endless"), endless_where_large(wide=wide))
    server = start("--grace-seconds", "600")

    async def check() -> None:
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            call = asyncio.ensure_future(_hang(channel))
            await until_elsewhere(lambda: server.sample("kan_request_rows_count", model="endless") == 1)
            server.signal(signal.SIGTERM)
            await until_elsewhere(lambda: "SIGTERM: stopping" in server.log.read_text())
            server.signal(signal.SIGTERM)
            assert await asyncio.to_thread(_seconds_to_end, server) <= _AT_ONCE_SECONDS
            with pytest.raises(grpc.aio.AioRpcError):
                await call

    asyncio.run(check())
    assert server.process.returncode == _ENDED


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[Path]:
    """A folder of a file system that does not answer: every access to it hangs."""
    folder = tmp_path / "nobody"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"there is no FUSE here: {error}")
    try:
        options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        if libc.mount(b"nobody", bytes(folder), b"fuse", 0, options.encode()):
            pytest.skip(f"nothing may be mounted here: {os.strerror(ctypes.get_errno())}")
        yield folder
    finally:
        os.close(device)  # whoever still waits gets an error
        libc.umount2(bytes(folder), _MNT_DETACH)


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_a_read_that_never_returns(
    start: Start, write_model: WriteModel, models: Path, nobody: Path, signals: int
) -> None:
    """A repository whose file system hangs delays the end of the process no more than a run does."""
    write_model("affine")
    server = start("--grace-seconds", str(_GRACE_SECONDS) if signals == 1 else "600", "--poll-seconds", "0.05")
    # Beside the model's versions, so that a look at them asks the file system.
    (models / "affine" / "2").symlink_to(nobody)
    wait_for(lambda: _waits_for_fuse(server.process.pid))
    server.signal(signal.SIGTERM)
    if signals == 2:
        wait_for(lambda: "SIGTERM: stopping" in server.log.read_text())
        server.signal(signal.SIGTERM)
    seconds = _seconds_to_end(server)
    assert seconds <= (_LONGEST_STOP_SECONDS if signals == 1 else _AT_ONCE_SECONDS)
    assert server.process.returncode == _ENDED, "all that was accepted was answered"


def _waits_for_fuse(pid: int) -> bool:
    """Whether a thread of a process, or of one that it started, waits for an answer of a FUSE."""
    family = [pid, *(child.pid for child in psutil.Process(pid).children())]
    stacks = [path for each in family for path in Path(f"/proc/{each}/task").glob("*/stack")]
    for path in stacks:
        with suppress(OSError):  # the thread has ended
            if "fuse" in path.read_text():
                return True
    return False

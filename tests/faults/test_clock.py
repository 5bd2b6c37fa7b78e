"""The wall clock jumps while a server runs: deadlines, waits and looks at the repository are on another clock."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

pytestmark = pytest.mark.faults

_ROW = np.array([[0, 1, 2, 0.5]], np.float32)
_JUMPS_DAYS = (10, -10, 3000, 0)
_MANY_ROWS = np.repeat(_ROW, 2048, axis=0)  # keep the model "slow" busy for longer than the short deadline
_SHORT_SECONDS = 0.2
# A row alone is held back so long: the jump comes while it waits.
_HELD_SECONDS = 2.0


class WallClock:
    """The wall clock of a process that was started with this environment; its monotonic clock is the machine's."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }
        self.jump(0)

    def jump(self, days: int) -> None:
        """Set it to so many days from now."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{days * 86400:+d}\n")
        new.rename(self._file)


@pytest.fixture
def wall_clock(tmp_path: Path) -> WallClock:
    """By libfaketime, where the system has it (Debian: faketime)."""
    found = [
        path for folder in ("/usr/lib", "/usr/lib64") for path in Path(folder).glob("**/faketime/libfaketimeMT.so.1")
    ]
    if not found:
        pytest.skip("libfaketime is not here, which moves the clock of one process (Debian: apt-get install faketime)")
    return WallClock(found[0], tmp_path / "clock")


def test_the_wall_clock_jumps(
    wall_clock: WallClock,
    kan_serve: Callable[..., Any],
    publish_version: Callable[..., Path],
    protocols: Any,
    graphs: Any,
) -> None:
    """Ten days on, back, years on and back, each while requests wait.

    Long deadlines are not over, short ones are, on time; new versions are taken; no time that is counted is negative
    or days long; the server ends when it is told to.
    """
    publish_version("kan")
    publish_version("slow")
    server = kan_serve(
        "--poll-seconds", "0.05", "--max-queue-delay-seconds", str(_HELD_SECONDS), **wall_clock.environment
    )
    expected = graphs.answer("kan", _ROW)
    began = time.monotonic()

    async def wait_for(rows: int, model: str) -> None:
        async with asyncio.timeout(10):
            while await asyncio.to_thread(server.sample, "kan_queue_rows", model=model) < rows:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def check(days: int, version: int) -> None:
        async with server.channel() as channel:

            async def ask(protocol: Any, model: str, rows: Any, seconds: float) -> Any:
                method: Any = channel.unary_unary(protocol.path)
                return protocol.answer(await method(protocol.request(model, rows), timeout=seconds))

            busy = asyncio.create_task(ask(protocols[0], "slow", _MANY_ROWS, 60))
            await wait_for(1, "slow")
            late = [asyncio.create_task(ask(protocol, "slow", _ROW, _SHORT_SECONDS)) for protocol in protocols]
            held = [asyncio.create_task(ask(protocol, "kan", _ROW, 60)) for protocol in protocols]
            await wait_for(len(protocols), "kan")
            wall_clock.jump(days)
            for _, got, values in await asyncio.gather(*held):
                np.testing.assert_allclose(values, expected + got, atol=1e-4)
            for error in await asyncio.gather(*late, return_exceptions=True):
                assert isinstance(error, grpc.aio.AioRpcError), f"a deadline of {_SHORT_SECONDS} s gave {error}"
                assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error
            await busy
            await asyncio.to_thread(publish_version, "kan")
            async with asyncio.timeout(20):
                while not await asyncio.to_thread(server.sample, "kan_model_ready", model="kan", version=str(version)):
                    pass

    for version, days in enumerate(_JUMPS_DAYS, start=2):
        asyncio.run(check(days, version))
        date = (datetime.now(UTC) + timedelta(days=days)).date()
        newest = server.log.read_text().splitlines()[-1]
        if server.frontend == "envoy" and not newest.startswith(str(date)):
            pytest.skip("libfaketime does not move the clock of the process inside Envoy")
        assert newest.startswith(str(date)), f"the clock did not jump to {date}: the log says {newest!r}"
        assert server.ready()
    lasted = time.monotonic() - began
    for name in ("request", "queue", "compute", "model_load"):
        total = server.sample(f"kan_{name}_duration_seconds_sum")
        assert 0 <= total < 10 * lasted, f"{name}s are counted as {total} s, in {lasted:.1f} s"
    code, log = server.stop()
    assert code == 0, log
    assert "Traceback" not in log, log

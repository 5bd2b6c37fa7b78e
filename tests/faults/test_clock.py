"""The wall clock jumps while a server runs: deadlines, waits and looks at the repository are on another clock."""

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from tests.kit.callers.protocols import PROTOCOLS, KanApi
from tests.kit.server.gate import Gate
from tests.kit.server.kan_serve import Start
from tests.kit.waiting import until_elsewhere, wait_for

pytestmark = pytest.mark.faults

_ROW = np.array([[0, 1, 2, 0.5]], np.float32)
_JUMPS_DAYS = (10, -10, 3000, 0)
_MANY_ROWS = np.repeat(_ROW, 4096, axis=0)  # run at once; the gate keeps the model "slow" busy with them
_SHORT_SECONDS = 0.2
# A row alone is held back so long: the jump comes while it waits.
_HELD_SECONDS = 5.0


class WallClock:
    """The wall clock of a process that was started with this environment; its monotonic clock is the machine's."""

    def __init__(self, library: Path, file: Path) -> None:
        self._file = file
        self.environment = {"LD_PRELOAD": str(library), "WALL_CLOCK_FILE": str(file), "TZ": "UTC"}
        file.write_bytes(bytes(8))

    def jump(self, days: int) -> None:
        """Set it to so many days from now."""
        with self._file.open("r+b") as file:  # in place: the process has mapped it
            file.write((days * 86400).to_bytes(8, sys.byteorder, signed=True))


def _date_in(days: int) -> str:
    """The date of so many days from now, as a line of the log begins with it."""
    return str((datetime.now(UTC) + timedelta(days=days)).date())


def _is_written_on(log: Path, dates: set[str]) -> bool:
    """Whether the newest line of a log is of one of these dates."""
    return log.read_text().splitlines()[-1][:10] in dates


@pytest.fixture
def wall_clock(tmp_path: Path) -> WallClock:
    """By wall_clock.c, which a C compiler makes a library of."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is here, for wall_clock.c (Debian: apt-get install gcc libc6-dev)")
    library = tmp_path / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", library, source], check=True)
    return WallClock(library, tmp_path / "clock")


def test_the_wall_clock_jumps(
    gate: Gate, wall_clock: WallClock, kan_serve: Start, publish_version: Callable[..., Path], graphs: Any
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

    async def check(days: int, version: int) -> None:
        async with server.channel() as channel:

            async def ask(protocol: Any, model: str, rows: Any, seconds: float) -> Any:
                method: Any = channel.unary_unary(protocol.path)
                return protocol.answer(await method(protocol.request(model, rows), timeout=seconds))

            with gate.closed():
                busy = asyncio.create_task(ask(KanApi, "slow", _MANY_ROWS, 100))
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="slow") >= 1)
                late = [asyncio.create_task(ask(protocol, "slow", _ROW, _SHORT_SECONDS)) for protocol in PROTOCOLS]
                held = [asyncio.create_task(ask(protocol, "kan", _ROW, 100)) for protocol in PROTOCOLS]
                await until_elsewhere(lambda: server.sample("kan_queue_rows", model="kan") >= len(PROTOCOLS))
                wall_clock.jump(days)
                for _, got, values in await asyncio.gather(*held):
                    np.testing.assert_allclose(values, expected + got, atol=1e-4)
                for error in await asyncio.gather(*late, return_exceptions=True):
                    assert isinstance(error, grpc.aio.AioRpcError), f"a deadline of {_SHORT_SECONDS} s gave {error}"
                    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error
            await busy
            await asyncio.to_thread(publish_version, "kan")
            await until_elsewhere(lambda: server.sample("kan_model_ready", model="kan", version=str(version)) == 1)

    for version, days in enumerate(_JUMPS_DAYS, start=2):
        dates = {_date_in(days)}
        asyncio.run(check(days, version))
        dates.add(_date_in(days))  # another one, if midnight was between
        wait_for(partial(_is_written_on, server.log, dates), f"a line of the log of {dates}")
        assert server.is_ready()
    lasted = time.monotonic() - began
    for name in ("request", "queue", "compute", "model_load"):
        total = server.sample(f"kan_{name}_duration_seconds_sum")
        assert 0 <= total < 10 * lasted, f"{name}s are counted as {total} s, in {lasted:.1f} s"
    code, log = server.stop()
    assert code == 0, log
    assert "Traceback" not in log, log

"""A worker as its parent sees it: what becomes of an Envoy whose watcher ends."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.process.workers import worker_process
from service.process.workers.agreement.flags import Flags
from service.process.workers.folder import LockedFolder
from service.process.workers.messages import Given
from service.process.workers.worker_process import WorkerProcess
from service.quota.levels import Levels
from tests.kit.waiting import wait_for


def test_an_envoy_whose_watcher_ended_is_killed_and_its_folder_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder may hold a private key. Envoy held its lock, so the removal waits for its end."""
    monkeypatch.setitem(worker_process._MODULES, "envoy", "keyword")  # a module that ends at once
    folder = LockedFolder.make(tmp_path, "x-")
    (folder.path / "key").touch()
    envoy = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[folder.lock])
    os.close(folder.lock)

    flags, levels = Flags(), Levels()

    async def run() -> int:
        process = await WorkerProcess.connect(tmp_path / "counts")
        await process.start("envoy", Given("{}"), flags, levels, 0)
        process.serves_in(envoy.pid, str(folder.path))
        return await process.wait()

    with envoy:
        assert asyncio.run(run()) == 0
        assert envoy.wait(60) == -signal.SIGKILL
    flags.close()
    levels.close()
    wait_for(lambda: list(tmp_path.iterdir()) == [], "the removal")

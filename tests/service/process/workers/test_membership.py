"""A worker's end without its parent."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service.process.workers.agreement.flags import Flags
from service.process.workers.folder import LockedFolder
from service.process.workers.messages import Given, Start, in_memory
from service.quota.levels import Levels

_PROGRAM = """
import asyncio, errno, fcntl, signal, sys
from service.process.stop import Stop
from service.process.workers.membership import Membership
from service.process.workers.messages import Start

def unavailable(*_):
    raise OSError(errno.ENOLCK, "")

async def live():
    membership = Membership(Start.found(), Stop(30))
    if sys.argv[1] == "no locks":
        fcntl.flock = unavailable
    print("lives", flush=True)
    await asyncio.Event().wait()

asyncio.run(live())
"""


@pytest.mark.parametrize(("case", "said"), [("no locks", b""), ("held", b""), ("invalid", b"no order\n")])
def test_a_worker_without_a_parent_ends(tmp_path: Path, case: str, said: bytes) -> None:
    """Though folders cannot be locked there, though the parent lives and holds the folder, or after an order that is
    none. Nothing handles its first signal here.
    """
    folder, flags, levels = LockedFolder.make(tmp_path, "x-"), Flags(), Levels()
    ours, theirs = socket.socketpair()
    with ours, theirs, in_memory(Given("{}")) as given:
        start = Start(theirs.fileno(), flags.descriptor, levels.descriptor, given, str(folder.path / "0"), 0)
        with subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, case],
            env={**os.environ, **start.environment()},
            pass_fds=start.descriptors,
            stdout=subprocess.PIPE,
        ) as worker:
            assert worker.stdout is not None
            try:
                assert worker.stdout.readline() == b"lives\n"
                theirs.close()
                ours.sendall(said)
                if not said:
                    ours.close()
                assert worker.wait(60) == -signal.SIGTERM
            finally:
                worker.kill()
    assert folder.path.is_dir()
    folder.remove()
    flags.close()
    levels.close()

"""Each process of a server with several workers is killed, and all of them at once: what ends, stays, and is left."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.kit.server.certificates import Authority
from tests.kit.server.kan_serve import KanServe, Start
from tests.kit.server.kills import calling
from tests.kit.server.workers import counts_folder, has_ended, starts, wait_for_workers, workers
from tests.kit.waiting import seconds_until, wait_for

pytestmark = pytest.mark.faults

_ROWS = np.array([[0, 1, 2, 0.5], [1, 2, 0, 1.5]], np.float32)
_PAUSE_SECONDS = 0.05


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The folder for temporary files of a server. Its path is short, as that of a socket must be."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def start(kan_serve: Start, publish_version: Callable[..., Path], temporary: Path) -> Callable[..., KanServe]:
    """Starts a kan-serve with two workers and one model, whose temporary files are in `temporary`."""
    publish_version("kan")
    return lambda *flags: kan_serve("--workers", "2", *flags, TMPDIR=str(temporary))


@pytest.mark.timeout(300)
def test_a_killed_child_of_the_parent_ends_its_worker_alone(start: Callable[..., KanServe], temporary: Path) -> None:
    """Each child in turn: with Envoy it is the small process that watches one. The worker ends and is started again
    within a second, no call of our client fails, and what all workers share stays. After a stop nothing is left.
    """
    server = start()
    folder, family = counts_folder(server), server.processes()
    with calling(server, "kan", _ROWS, pause_seconds=_PAUSE_SECONDS) as calls:
        calls.more()
        for kills, child in enumerate(starts(server), 1):
            before, inner = starts(server), child.children()
            child.kill()
            assert seconds_until(lambda: any(each not in before for each in starts(server)), "the next worker") < 1.0  # noqa: B023
            assert seconds_until(lambda: all(map(has_ended, inner)), "the end of its Envoy") < 1.0  # noqa: B023
            assert server.is_ready()
            wait_for_workers(server, 2, restarts=kills)
            assert folder.is_dir()
        calls.more()
    assert calls.failures == []
    assert not set(family[1:]) & set(server.processes())
    code, log = server.stop()
    assert (code, "Traceback" in log) == (0, False), log
    assert (list(temporary.iterdir()), folder.exists()) == ([], False)


@pytest.mark.timeout(300)
def test_a_server_removes_what_killed_ones_left(
    start: Callable[..., KanServe], temporary: Path, tmp_path: Path
) -> None:
    """All processes are killed at once, as for the memory of a container, when an Envoy has a copy of the key. The
    next server removes their folders, and none of a server that runs.
    """
    authority = Authority(tmp_path / "certificates")
    pair = authority.issue("server")
    flags = ("--tls-cert", str(pair.cert), "--tls-key", str(pair.key))
    first = start(*flags)
    pair.cert.write_text("no certificate")
    workers(first)[0].kill()
    wait_for_workers(first, 2, restarts=1)
    with_envoy = "--frontend envoy" in " ".join(first.process.args)  # type: ignore[arg-type]
    processes, counts, folders = first.processes(), counts_folder(first), list(temporary.iterdir())
    assert len(folders) == (2 if with_envoy else 0)
    assert [file.name for file in temporary.glob("*/last-valid/key")] == (["key"] if with_envoy else [])
    authority.issue("server")
    second = start(*flags)
    assert set(folders) <= set(temporary.iterdir())
    assert counts.is_dir()
    _kill_at_once(processes)
    assert set(folders) <= set(temporary.iterdir())
    third = start(*flags)
    wait_for(lambda: not counts.exists() and not set(folders) & set(temporary.iterdir()), "the removal", seconds=5)
    assert list(temporary.glob("*/last-valid")) == []
    assert counts_folder(second).is_dir()
    assert len(list(temporary.iterdir())) == 2 * len(folders)
    for server in (second, third):
        assert server.stop()[0] == 0
    assert list(temporary.iterdir()) == []


def _kill_at_once(processes: list[psutil.Process]) -> None:
    """Kill processes; none of them sees another one's end."""
    for process in processes:
        process.suspend()
    for process in processes:
        process.kill()
    wait_for(lambda: all(map(has_ended, processes)), "the end of all processes")

"""What tests of several folders share: torch's threads, signals, a gate that holds a slow model."""

import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.kit.server.gate import Gate

# Before anything imports torch, and for every process that a test starts. Two threads that wait for each other after
# each of many small products stand still where other work keeps the processors busy. The environment may say otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Under load an example may take longer than hypothesis' 200 ms. With CI in the environment it has no deadline anyway.
settings.register_profile("under load", parent=settings(), deadline=None)
settings.load_profile("under load")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector, which then never looks at what was imported.

    It would walk through all of it again and again: 40 % of the time of the collection, and more in the tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture
def foreground() -> Iterator[None]:
    """For tests that send SIGINT or SIGHUP: neither is ignored, by this process or by one that the test starts.

    A suite that nohup or a script's `&` starts ignores them, and a program inherits what is ignored; what has a handler
    is back at its default in the program that is started.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    if before[signal.SIGINT] is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if before[signal.SIGHUP] is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)  # nohup's wish still holds for the suite itself
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """The gate of this test's slow models; ask for it before what starts a server."""
    return Gate.at(tmp_path / "gate", monkeypatch)


@pytest.fixture(scope="module")
def module_gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """The gate of a server that the tests of a module share."""
    with pytest.MonkeyPatch.context() as patch:
        yield Gate.at(tmp_path_factory.mktemp("gate") / "gate", patch)

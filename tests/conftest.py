"""What tests of several folders share: torch's threads, signals, a gate that holds a slow model."""

import os
import runpy
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# Before anything imports torch, and for every process that a test starts. Two threads that wait for each other after
# each of many small products stand still where other work keeps the processors busy. The environment may say otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")

_FOLDER = Path(__file__).with_name("gate")
# More than ever wait at the gate at once.
_MANY_RUNS = 1024


class Gate:
    """Holds the runs of models of the kind "slow", in this process and in those that start after it. Open at first.

    A test that closes it need not guess how long a model takes: a run that has begun does not end before the test lets
    it. Close it once the server is ready, because a warm-up is a run too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pipe = -1

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Hold runs until the block ends, or until `open`."""
        os.mkfifo(self._path)
        self._pipe = os.open(self._path, os.O_RDWR)
        try:
            yield
        finally:
            self.open()
            os.close(self._pipe)

    def let(self, runs: int) -> None:
        """Let so many runs go on: those that wait, then those that come."""
        os.write(self._pipe, bytes(runs))

    def open(self) -> None:
        """Let all runs go on."""
        self._path.unlink(missing_ok=True)  # first: whoever finds no pipe waits for nothing
        self.let(_MANY_RUNS)


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
    from service.registry.model.onnx_runtime import onnxruntime

    monkeypatch.setenv("KAN_TESTS_GATE", str(tmp_path / "gate"))
    monkeypatch.setenv("PYTHONPATH", str(_FOLDER), prepend=os.pathsep)
    monkeypatch.setattr(onnxruntime, "InferenceSession", onnxruntime.InferenceSession)  # so that it is put back
    runpy.run_path(str(_FOLDER / "sitecustomize.py"))
    return Gate(tmp_path / "gate")

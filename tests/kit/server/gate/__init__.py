"""A gate that holds the runs of slow models until the test lets them go on."""

import os
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent
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

    @classmethod
    def at(cls, path: Path, monkeypatch: pytest.MonkeyPatch) -> "Gate":
        """Have the slow models of this test look for a gate at a path that is not there yet."""
        from service.registry.model.onnx_runtime import onnxruntime

        monkeypatch.setenv("KAN_TESTS_GATE", str(path))
        monkeypatch.setenv("PYTHONPATH", str(_FOLDER), prepend=os.pathsep)
        monkeypatch.setattr(onnxruntime, "InferenceSession", onnxruntime.InferenceSession)  # so that it is put back
        runpy.run_path(str(_FOLDER / "sitecustomize.py"))
        return cls(path)

    @property
    def opening(self) -> "Gate":
        """Another gate, which holds the opening of every graph, after its file was read and verified."""
        return Gate(Path(f"{self._path}.opening"))

    def is_reached(self) -> bool:
        """Whether something waits, or has waited, at a gate of openings."""
        return Path(f"{self._path}.reached").exists()

    @contextmanager
    def closed(self) -> Iterator["Gate"]:
        """Hold runs until the block ends, or until `open`. Gives itself."""
        os.mkfifo(self._path)
        self._pipe = os.open(self._path, os.O_RDWR)
        try:
            yield self
        finally:
            self.open()
            os.close(self._pipe)

    def let(self, runs: int) -> None:
        """Let so many runs go on: those that wait, then those that come."""
        os.write(self._pipe, bytes(runs))

    def fail(self) -> None:
        """Have one run or opening fail: one that waits, or the next that comes."""
        os.write(self._pipe, b"\1")

    def open(self) -> None:
        """Let all runs go on."""
        self._path.unlink(missing_ok=True)  # first: whoever finds no pipe waits for nothing
        self.let(_MANY_RUNS)

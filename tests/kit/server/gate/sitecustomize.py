"""Python imports this at its start where this folder is in PYTHONPATH: from then on runs of slow models wait at a gate.

onnxruntime still computes every answer. While there is a pipe at $KAN_TESTS_GATE, a run of a graph named "slow" first
reads one byte from it: the test that made the pipe (`Gate` in __init__.py) writes a byte a run, and 1 to have it fail.
While there is one at $KAN_TESTS_GATE.opening, so does the opening of every graph, and leaves an empty file
$KAN_TESTS_GATE.opening.reached.
"""

import os
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime


class HeldSession(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session that waits at the gate, whichever way it is run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        _pass_the_gate(os.environ["KAN_TESTS_GATE"] + ".opening", tell=True)
        super().__init__(*arguments, **options)

    def run(self, *arguments: Any, **options: Any) -> Any:
        self._pass_the_gate()
        return super().run(*arguments, **options)

    def run_with_iobinding(self, *arguments: Any, **options: Any) -> Any:
        self._pass_the_gate()
        return super().run_with_iobinding(*arguments, **options)

    def _pass_the_gate(self) -> None:
        if self.get_modelmeta().graph_name == "slow":
            _pass_the_gate(os.environ["KAN_TESTS_GATE"])


def _pass_the_gate(path: str, *, tell: bool = False) -> None:
    """Read one byte, if there is a pipe."""
    try:
        pipe = os.open(path, os.O_RDWR)  # not read-only, which would wait for a writer
    except FileNotFoundError:
        return
    try:
        if tell:
            os.close(os.open(path + ".reached", os.O_CREAT | os.O_WRONLY))
        if os.read(pipe, 1) == b"\1":
            raise RuntimeError("failed at the gate")
    finally:
        os.close(pipe)


onnxruntime.InferenceSession = HeldSession

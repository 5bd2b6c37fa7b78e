"""Python imports this at its start where this folder is in PYTHONPATH: from then on runs of slow models wait at a gate.

onnxruntime still computes every answer. While there is a pipe at $KAN_TESTS_GATE, a run of a graph named "slow" first
reads one byte from it: the test that made the pipe (`Gate` in __init__.py) writes a byte a run.
"""

import os
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime


class HeldSession(onnxruntime.InferenceSession):  # type: ignore[misc]
    """A session that waits at the gate, whichever way it is run."""

    def run(self, *arguments: Any, **options: Any) -> Any:
        self._pass_the_gate()
        return super().run(*arguments, **options)

    def run_with_iobinding(self, *arguments: Any, **options: Any) -> Any:
        self._pass_the_gate()
        return super().run_with_iobinding(*arguments, **options)

    def _pass_the_gate(self) -> None:
        if self.get_modelmeta().graph_name != "slow":
            return
        try:
            pipe = os.open(os.environ["KAN_TESTS_GATE"], os.O_RDWR)  # not read-only, which would wait for a writer
        except FileNotFoundError:
            return
        try:
            os.read(pipe, 1)
        finally:
            os.close(pipe)


onnxruntime.InferenceSession = HeldSession

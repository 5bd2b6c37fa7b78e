"""A registry in this process, loaded at the beginning of a block and closed at its end; loads that a test holds."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.metrics.metrics import Metrics
from service.registry.model.onnx_runtime import onnxruntime
from service.registry.registry import Registry, State
from service.settings import Settings


@asynccontextmanager
async def loaded_registry(settings: Settings, metrics: Metrics | None = None) -> AsyncIterator[Registry]:
    """A registry that has loaded its models; closed with the block."""
    registry = Registry(settings, metrics or Metrics())
    await registry.load_all()
    try:
        yield registry
    finally:
        await registry.close()


def ready_versions(registry: Registry) -> list[str]:
    """The versions that answer, as "affine/2"."""
    return [f"{one.name}/{one.version}" for one in registry.statuses() if one.state is State.READY]


class HeldLoads:
    """Makes loads wait, each in its own thread, before onnxruntime opens the graph.

    Attributes:
        holding: Whether loads that begin now wait; False at first.
        fault: What these loads raise; None if they go on as others do.
        begun: Set once a load waits.
        count: How many loads have waited.
        go_on: Set it to let all loads go on.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.holding = False
        self.fault: Exception | None = None
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.count = 0
        self._open_session = onnxruntime.InferenceSession
        monkeypatch.setattr(onnxruntime, "InferenceSession", self._open)

    async def end_in_next_turn(self) -> None:
        """Let all loads go on, and return in the turn of the event loop in which their ends are delivered.

        What the test does before it gives up the loop happens before a load knows that it has ended.
        """
        self.go_on.set()
        for thread in [each for each in threading.enumerate() if each.name.startswith("load ")]:
            thread.join()  # the event loop stands still meanwhile
        await asyncio.sleep(0)

    def _open(self, *given: Any, **more: Any) -> Any:
        if self.holding:
            self.count += 1
            self.begun.set()
            self.go_on.wait()
            if self.fault is not None:
                raise self.fault
        return self._open_session(*given, **more)

"""attribution.onnx of one loaded version: its files, which a test counts and holds, and rows beside their reference."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import File
from service.metrics.metrics import Metrics
from service.registry.model.attribution import Attribution
from service.registry.model.live_model import LiveModel, load
from service.repository.disk import read_file, read_version
from service.settings import Settings


def beside(rows: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows as the batcher takes them: [rows, 2 * features]."""
    return np.concatenate([rows, np.broadcast_to(reference, rows.shape)], axis=1)


class Files:
    """Reads files of one version.

    Attributes:
        reads: How many there were.
        failure: Raised by each read while it is set.
        hold: Reads wait for it while it is set.
    """

    def __init__(self, models: Path, kind: str) -> None:
        self.reads = 0
        self.failure: Exception | None = None
        self.hold: asyncio.Event | None = None
        self._models, self._kind = models, kind

    async def __call__(self, entry: File) -> bytes:
        self.reads += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return read_file(self._models, self._kind, 1, entry, 2**27)


def load_model(models: Path, kind: str, files: Files, **settings: Any) -> LiveModel:
    """Version 1 of a model; keywords are settings."""
    return load(read_version(models, kind, 1), Settings(**settings), Metrics(), read_file=files)


def attribution_in(model: LiveModel) -> Attribution:
    """What gives the contributions of a model that has them."""
    assert model.attribution is not None
    return model.attribution

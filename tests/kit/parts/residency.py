"""A registry with bounds on models in memory: a call to it, what it holds, and what its metrics show of a model."""

import time

import numpy as np

from service.metrics.metrics import Metrics
from service.registry.registry import Registry


async def call(registry: Registry, name: str, version: int | None = None, seconds: float = 60) -> int:
    """Have one row of a model of 4 features computed, and give the version that answered."""
    with await registry.lease_or_wait(name, version, time.monotonic() + seconds) as model:
        result = await model.submit(np.zeros((1, 4), np.float32), None)
        assert result.outputs[0].shape == (1, 1)
        return model.version


def in_memory(registry: Registry) -> list[str]:
    """The versions that are loaded, as "a/1"."""
    return [f"{one.name}/{one.version}" for one in registry.statuses() if one.is_loaded]


def ready(metrics: Metrics, model: str, version: int = 1) -> float | None:
    """What kan_model_ready says of a version."""
    labels = {"model": model, "version": str(version)}
    value: float | None = metrics.registry.get_sample_value("kan_model_ready", labels)
    return value

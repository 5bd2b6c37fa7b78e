from collections.abc import Callable
from pathlib import Path

import pytest

from service.metrics.metrics import Metrics
from service.registry.model.live_model import LiveModel, load
from service.repository.disk import read_version
from service.settings import Settings


@pytest.fixture
def model(models: Path, write_model: Callable[..., Path]) -> LiveModel:
    """Four features, none imputed."""
    write_model("affine")
    return load(read_version(models, "affine", 1), Settings(models=models), Metrics())

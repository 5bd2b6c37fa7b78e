"""The demo model, and a Docker engine of the tests' own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.engine import Engine, running_engine
from tests.kit.models.digits import train_digits


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with the demo model, as the job of compose leaves it; the run is beside it."""
    trained = train_digits(tmp_path_factory.mktemp("digits"))
    shutil.copy(trained.run / "held_out.csv", trained.models / "digits")
    for path in (trained.models, *trained.models.rglob("*")):
        path.chmod(path.stat().st_mode | 0o055)
    return trained.models


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Docker, with the base image and those of deploy/compose.yaml; a skip where it cannot start."""
    with running_engine() as started:
        yield started

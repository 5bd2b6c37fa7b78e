"""A model repository of small ONNX graphs whose right answers are known in numpy, and servers of it."""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.kit.models.graphs import KINDS, Answer
from tests.kit.models.repository import WriteModel, write_version
from tests.kit.server.kan_serve import Serving, Start, serving_here, starter


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """An empty model repository."""
    root = tmp_path / "models"
    root.mkdir()
    return root


@pytest.fixture
def write_model(models: Path) -> WriteModel:
    """Writes one version into `models`; call it as `write_version` with kind, version=1, name=kind, change=None."""
    return partial(write_version, models)


@pytest.fixture
def answer() -> Answer:
    """The right answer by numpy; call it with a kind of `write_model` and rows."""
    return lambda kind, rows: KINDS[kind].answer(rows)


@pytest.fixture
def serving(models: Path) -> Serving:
    """Gives a server of `models` in this process and a channel to it; keywords are settings."""
    return partial(serving_here, models)


@pytest.fixture
def kan_serve(models: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts kan-serve on `models` as a process, on free ports; arguments are more flags."""
    with starter(models, tmp_path) as start:
        yield start


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Puts the logging of the process back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)

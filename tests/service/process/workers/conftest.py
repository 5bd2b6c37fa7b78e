"""Servers with two workers, on both front ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.server.kan_serve import FRONTENDS, Start, starter


@pytest.fixture(params=FRONTENDS)
def two_workers(request: pytest.FixtureRequest, models: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts kan-serve with two workers on `models`; arguments are more flags."""
    flags = ("--frontend", request.param, "--workers", "2", "--poll-seconds", "0.2")
    with starter(models, tmp_path, *flags) as start:
        yield start

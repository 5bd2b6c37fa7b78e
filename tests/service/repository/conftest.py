"""Settings of a server of `models` by way of storage, and storage that fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from tests.kit.parts.storage import Outage


@pytest.fixture
def settings(models: Path, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a server of `models` by way of storage; keywords are more of them."""

    def make(**more: Any) -> Settings:
        return Settings(**{"models": f"file://{models}", "cache_folder": str(tmp_path / "cache"), **more})

    return make


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    """The storage's network, whole at first."""
    return Outage(monkeypatch)

"""Loads that a test holds."""

from collections.abc import Iterator

import pytest

from tests.kit.parts.registry import HeldLoads


@pytest.fixture
def held_loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[HeldLoads]:
    """Holds loads once the test asks for it, until it lets them go on, at the latest at its end."""
    held = HeldLoads(monkeypatch)
    yield held
    held.go_on.set()

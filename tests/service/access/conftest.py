"""Token files."""

from pathlib import Path

import pytest

from tests.kit.callers.tokens import WriteTokens, write_tokens


@pytest.fixture
def tokens(tmp_path: Path) -> WriteTokens:
    """Writes a token file, as `write_tokens`."""
    return lambda **tables: write_tokens(tmp_path / "tokens.toml", **tables)

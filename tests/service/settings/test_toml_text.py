"""Text as TOML writes it."""

import tomllib

import pytest

from service.settings.toml_text import quoted


@pytest.mark.parametrize("text", ["", "plain", 'a "b" \\ c', "\t\n\x00\x7f", "ü \U0001f600", "\u2028\u202e"])
def test_a_text_is_read_back_as_it_was(text: str) -> None:
    """TOML's reader gives the same text, and a line shows all of it."""
    written = quoted(text)
    assert tomllib.loads(f"a = {written}") == {"a": text}
    assert written.isprintable()

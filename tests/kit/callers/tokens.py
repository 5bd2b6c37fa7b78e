"""Token files, and calls with a token."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

WriteTokens = Callable[..., Path]


def write_tokens(file: Path, **tables: str) -> Path:
    """Write a token file in one step, as an operator should.

    Args:
        file: Its path.
        tables: By name, the lines of each table beside sha256; the token of a name is "secret-NAME".
    """
    text = "".join(f'[tokens.{name}]\nsha256 = "{sha256(secret(name))}"\n{lines}\n' for name, lines in tables.items())
    new = file.with_suffix(".new")
    new.write_text(text)
    os.replace(new, file)
    return file


def secret(name: str) -> str:
    """The token of a name."""
    return f"secret-{name}"


def sha256(token: str) -> str:
    """As the token file has it."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer(name: str) -> tuple[tuple[str, str]]:
    """The metadata of a call with a name's token."""
    return (("authorization", f"Bearer {secret(name)}"),)

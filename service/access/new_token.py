"""kan-serve token: makes a token and adds its table to the token file."""

import argparse
import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Sequence
from pathlib import Path

from service.access.token_file import parse_tokens
from service.errors import StartupError
from service.settings.toml_text import quoted

# 256 random bits: no guess finds it, so its plain SHA-256 may be kept.
_TOKEN_BYTES = 32
_PREFIX = "kan_"  # so that scanners of repositories find one that was committed


def make_token(arguments: Sequence[str]) -> str:
    """Make a token and add its hash to a file.

    Args:
        arguments: Those after "kan-serve token".

    Returns:
        The token.

    Raises:
        StartupError: The file cannot be written, or would be invalid.
    """
    given = _parser().parse_args(arguments)
    token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    try:
        _add(given.file, _table(given, token))
    except (StartupError, OSError) as error:
        raise StartupError(f"token file {str(given.file)!r}: {error}") from error
    return token


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kan-serve token",
        description="Make a token, add its table to a token file, and print the token. The file holds its hash only, "
        "so the token cannot be shown again. A server that uses the file takes it within two seconds.",
        allow_abbrev=False,
    )
    parser.add_argument("name", help="name of the token, for logs and messages")
    parser.add_argument("file", type=Path, help="token file; made if there is none")
    parser.add_argument("--models", metavar="PATTERN", nargs="+", help="models that it may use (default: all)")
    parser.add_argument(
        "--methods", metavar="PATTERN", nargs="+", help="methods that it may call (default: all that load no models)"
    )
    parser.add_argument("--rows-per-second", metavar="N", type=float, help="quota (default: none)")
    parser.add_argument("--expires", metavar="DATE", help="from when on it is refused, such as 2027-01-31")
    return parser


def _table(given: argparse.Namespace, token: str) -> str:
    lines = [f"[tokens.{quoted(given.name)}]", f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"']
    patterns = {key: getattr(given, key) for key in ("models", "methods")}
    lines += [f"{key} = [{', '.join(map(quoted, each))}]" for key, each in patterns.items() if each is not None]
    if given.rows_per_second is not None:
        lines.append(f"rows_per_second = {given.rows_per_second}")
    if given.expires is not None:
        lines.append(f"expires = {quoted(given.expires)}")
    return "\n".join(lines) + "\n"


def _add(file: Path, table: str) -> None:
    """Add a table in one step: a server that reads the file meanwhile never sees half of it. One at a time."""
    file = file.resolve()  # a symbolic link stays one
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        _replace(file, table)
    finally:
        os.close(folder)


def _replace(file: Path, table: str) -> None:
    before = file.read_text() if file.exists() else ""
    text = f"{before.rstrip()}\n\n{table}" if before.strip() else table
    parse_tokens(text.encode(), paths=None)
    descriptor, new = tempfile.mkstemp(dir=file.parent, prefix=file.name)  # for this user alone, until it has a mode
    try:
        with os.fdopen(descriptor, "w") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        if file.exists():
            os.chmod(new, file.stat().st_mode & 0o777)
        os.replace(new, file)
    except BaseException:
        os.unlink(new)
        raise

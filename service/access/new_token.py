"""kan-serve token: makes a token and adds its table to the token file."""

import argparse
import fcntl
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.access.token_file import Token, parse_tokens
from service.errors import StartupError, WrongArguments
from service.settings.toml_text import quoted

# 256 random bits: no guess finds it, so its plain SHA-256 may be kept.
_TOKEN_BYTES = 32
# As names of models are, with the signs of a pattern.
_MODELS = re.compile(r"[A-Za-z0-9_*?\[][A-Za-z0-9_.*?\[\]!-]*")
_PREFIX = "kan_"  # so that scanners of repositories find one that was committed
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# Our client asks for the manifest before it sends rows to any of these.
_OF_ROWS = ("Predict", "PredictStream", "Explain")
_SERVICE = "/kan_api.v1.PredictionService/"


@dataclass(frozen=True)
class NewToken:
    """A token that was made.

    Attributes:
        text: The token.
        notes: What its maker should know.
    """

    text: str
    notes: Sequence[str]


def make_token(arguments: Sequence[str], paths: Collection[str]) -> NewToken:
    """Make a token and add its hash to a file.

    Args:
        arguments: Those after "kan-serve token".
        paths: The methods of a server.

    Raises:
        WrongArguments: A server would not take the file with such a token, or would refuse the token.
        StartupError: The file is invalid as it is, or cannot be written.
    """
    given = _parser().parse_args(arguments)
    token = _PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    try:
        text, is_new_file = _change(given.file, lambda before: _with_token(before, given, token, paths))
    except (StartupError, OSError) as error:
        kind = WrongArguments if isinstance(error, WrongArguments) else StartupError
        reason = "its folder is not there" if isinstance(error, FileNotFoundError) else error
        raise kind(f"token file {str(given.file)!r}: {reason}") from error
    made = next(each for each in parse_tokens(text.encode(), paths) if each.name == given.name)
    notes = [f"made the new token file {str(given.file)!r}; a server reads it with --tokens"] if is_new_file else []
    return NewToken(token, [*notes, *_warnings(made)])


def _warnings(token: Token) -> list[str]:
    """What the token cannot do, and its caller may expect."""
    rows = [each for each in _OF_ROWS if token.may_call(_SERVICE + each)]
    if not rows or token.may_call(f"{_SERVICE}GetModel"):
        return []
    return [
        f"token {token.name!r} may call {', '.join(rows)} and not GetModel, by which kan-client and service.client "
        "learn what a model wants: add GetModel to its methods if its caller uses them"
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kan-serve token",
        description="Make a token, add its table to a token file, and print the token. The file holds its hash only, "
        "so the token cannot be shown again. A server that uses the file takes it within two seconds.",
        allow_abbrev=False,
    )
    parser.add_argument("name", help="name of the token, for logs and messages")
    parser.add_argument("file", type=Path, help="token file; made if there is none")
    rights = parser.add_argument_group("rights")
    patterns: dict[str, Any] = {"type": _patterns, "action": "extend", "metavar": "PATTERNS"}
    rights.add_argument("--models", **patterns, help="models that it may use, such as fraud-*,wine (default: all)")
    rights.add_argument(
        "--methods", **patterns, help="methods that it may call, such as Predict,GetModel (default: all but loading)"
    )
    rights.add_argument("--rows-per-second", metavar="N", type=float, help="quota (default: none)")
    rights.add_argument(
        "--expires", metavar="DATE", help="from when on it is refused, 0:00 UTC, such as 2027-01-31 (default: never)"
    )
    parser.add_argument(
        "--replace", action="store_true", help="replace the token of this name, which keeps its rights in the file"
    )
    return parser


def _patterns(text: str) -> list[str]:
    """Names or patterns with commas between them."""
    return [each.strip() for each in text.split(",")]


def _with_token(before: str, given: argparse.Namespace, token: str, paths: Collection[str]) -> str:
    """The text of the file with the token."""
    tokens = parse_tokens(before.encode(), paths) if before.strip() else ()
    try:
        return _changed(before, {each.name: each for each in tokens}, given, token, paths)
    except StartupError as error:  # the file was valid before
        raise WrongArguments(str(error)) from error


def _changed(
    before: str, there: Mapping[str, Token], given: argparse.Namespace, token: str, paths: Collection[str]
) -> str:
    for pattern in given.models or ():
        if _MODELS.fullmatch(pattern) is None:
            raise StartupError(
                f"--models has {pattern!r}, and no model can have such a name; wanted names with commas between them, "
                "of letters, digits, '_', '-' and '.', or with the signs * ? [ ] of a pattern"
            )
    digest, old = hashlib.sha256(token.encode()).hexdigest(), there.get(given.name)
    if given.replace:
        if old is None:
            raise StartupError(f"there is no token {given.name!r} to replace; there is {', '.join(there) or 'none'}")
        if any(value is not None for value in (given.models, given.methods, given.rows_per_second, given.expires)):
            raise StartupError(f"--replace keeps the rights of token {given.name!r}; change them in the file")
        text = before.replace(old.digest.hex(), digest)
    elif old is not None:
        raise StartupError(
            f"there is a token {given.name!r} already. --replace makes a new one in its place at once; with a token of "
            "another name beside it, the caller can change over in their own time (docs/security.md#rotate-a-token)"
        )
    else:
        text = f"{before.rstrip()}\n\n" if before.strip() else ""
        text += _table(given, digest)
    made = next(each for each in parse_tokens(text.encode(), paths) if each.name == given.name)
    now = datetime.now(UTC)
    if made.expires is not None and made.expires <= now:
        expires = made.expires.astimezone(UTC)
        raise StartupError(
            f"token {given.name!r} would be refused at once: it expires at {expires:%Y-%m-%d %H:%M} UTC, and now it is "
            f"{now:%Y-%m-%d %H:%M} UTC"
        )
    return text


def _table(given: argparse.Namespace, digest: str) -> str:
    name = given.name if _BARE_KEY.fullmatch(given.name) else quoted(given.name)
    lines = [f"[tokens.{name}]", f'sha256 = "{digest}"']
    patterns = {key: getattr(given, key) for key in ("models", "methods")}
    lines += [f"{key} = [{', '.join(map(quoted, each))}]" for key, each in patterns.items() if each is not None]
    if given.rows_per_second is not None:
        lines.append(f"rows_per_second = {given.rows_per_second}")
    if given.expires is not None:
        lines.append(f"expires = {quoted(given.expires)}")
    return "\n".join(lines) + "\n"


def _change(file: Path, change: Callable[[str], str]) -> tuple[str, bool]:
    """Change the text in one step: a server that reads the file meanwhile never sees half of it. One at a time.

    Returns:
        The text, and whether there was no file before.
    """
    file = file.resolve()  # a symbolic link stays one
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        is_new = not file.exists()
        text = change("" if is_new else file.read_text())
        _replace(file, text)
        return text, is_new
    finally:
        os.close(folder)


def _replace(file: Path, text: str) -> None:
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

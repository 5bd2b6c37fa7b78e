"""The token file: TOML, each table one token."""

import difflib
import fnmatch
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

from service.errors import StartupError

# Each call is compared with every token, 0.2 µs each.
MOST_TOKENS: Final = 1000
# Envoy's one thread hashes 80 bytes a microsecond.
MOST_TOKEN_BYTES: Final = 4096
# What takes a model away from everybody is never among a token's methods by default.
LOADING: Final = ("RepositoryModelLoad", "RepositoryModelUnload")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile("[0-9a-f]{64}")
_KEYS = ("sha256", "models", "methods", "rows_per_second", "expires")


@dataclass(frozen=True)
class Token:
    """One token's rights.

    Attributes:
        name: For logs and messages.
        digest: SHA-256 of the token.
        models: Patterns of the models' names, as in a shell; ("*",) is every model.
        methods: Patterns of methods: "Predict", or with the service "kan_api.v1.PredictionService/*". Those in
            `LOADING` must be named, or the pattern be "*". Empty: every method but those in `LOADING`.
        rows_per_second: Quota over all models; None without one.
        expires: From then on it is refused; None never.
    """

    name: str
    digest: bytes
    models: tuple[str, ...] = ("*",)
    methods: tuple[str, ...] = ()
    rows_per_second: float | None = None
    expires: datetime | None = None

    def may_use(self, model: str) -> bool:
        """Whether a model is among its models."""
        return any(fnmatch.fnmatchcase(model, pattern) for pattern in self.models)

    def may_call(self, path: str) -> bool:
        """Whether a method, "/package.Service/Method", is among its methods."""
        if not self.methods:
            return path.rpartition("/")[2] not in LOADING
        return any(_matches(path, pattern) for pattern in self.methods)


def parse_tokens(text: bytes, paths: Collection[str] | None) -> tuple[Token, ...]:
    """The tokens in a file.

    Args:
        text: The file's content.
        paths: The methods of the server: a pattern that matches none is a typing error. None checks no patterns.

    Raises:
        StartupError: The file is invalid. The message names the token and the field, and holds no secret.
    """
    try:
        document = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # ValueError: bytes, TOML or a number of too many digits
        raise StartupError(f"it is no TOML: {error}") from None
    tables = document.get("tokens")
    if set(document) != {"tokens"} or not isinstance(tables, dict) or not tables:
        raise StartupError("it should hold tables [tokens.NAME], at least one, and nothing else")
    if len(tables) > MOST_TOKENS:
        raise StartupError(f"it holds {len(tables)} tokens; at most {MOST_TOKENS} are taken")
    tokens = tuple(_parse_token(name, table, paths) for name, table in tables.items())
    by_digest: dict[bytes, str] = {}
    for token in tokens:
        if (other := by_digest.setdefault(token.digest, token.name)) != token.name:
            raise StartupError(f"tokens {other!r} and {token.name!r} have the same sha256; make a token for each")
    return tokens


def _matches(path: str, pattern: str) -> bool:
    whole = path.removeprefix("/")
    loads = whole.rpartition("/")[2] in LOADING
    if loads and pattern != "*" and pattern.rpartition("/")[2] not in LOADING:
        return False  # a pattern for a service means its other methods
    return fnmatch.fnmatchcase(whole if "/" in pattern else whole.rpartition("/")[2], pattern)


def _parse_token(name: str, table: Any, paths: Collection[str] | None) -> Token:
    if _NAME.fullmatch(name) is None:
        raise StartupError(f"token name {name[:80]!r}: wanted 1 to 64 letters, digits, '.', '_' or '-'")
    if not isinstance(table, dict):
        raise StartupError(f"token {name!r} is no table; wanted [tokens.{name}]")
    if unknown := set(table) - set(_KEYS):
        raise StartupError(f"token {name!r} has the unknown key {min(unknown)!r}; there is {', '.join(_KEYS)}")
    digest = table.get("sha256")
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise StartupError(f"token {name!r}: sha256 should be 64 digits 0-9a-f, the SHA-256 of the token")
    methods = _patterns(name, table, "methods")
    for pattern in methods:
        if paths is not None and not any(_matches(path, pattern) for path in paths):
            reason = f"which allows no method of this server; {_near(pattern, paths)}"
            raise StartupError(f"token {name!r}: methods has {pattern!r}, {reason}")
    return Token(
        *(name, bytes.fromhex(digest), _patterns(name, table, "models") or ("*",), methods),
        *(_rows_per_second(name, table), _expires(name, table)),
    )


def _near(pattern: str, paths: Collection[str]) -> str:
    """The methods that may be meant; all of them if none is near."""
    whole = [path.removeprefix("/") for path in paths]
    names = sorted(whole if "/" in pattern else {each.rpartition("/")[2] for each in whole})
    near = difflib.get_close_matches(pattern, names, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"the methods are {', '.join(names)}"


def _patterns(name: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    patterns = table.get(key, [])
    is_list = isinstance(patterns, list) and all(isinstance(each, str) and each for each in patterns)
    if not is_list or (key in table and not patterns):
        raise StartupError(f'token {name!r}: {key} should be a list of names or patterns, such as ["fraud-*"]')
    return tuple(patterns)


def _rows_per_second(name: str, table: Mapping[str, Any]) -> float | None:
    rows = table.get("rows_per_second")
    if rows is None:
        return None
    if type(rows) not in (int, float) or not 0 < rows <= 1e12:
        raise StartupError(f"token {name!r}: rows_per_second is {rows!r}; wanted a number above 0")
    return float(rows)


def _expires(name: str, table: Mapping[str, Any]) -> datetime | None:
    """The end of a token's time; a date ends as it begins, and times without a zone are UTC."""
    given = table.get("expires")
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            given = time.min  # reported below
    if given is None:
        return None
    if isinstance(given, date) and not isinstance(given, datetime):
        given = datetime.combine(given, time.min)
    if not isinstance(given, datetime):
        raise StartupError(f"token {name!r}: expires is {table['expires']}; wanted a date such as 2027-01-31")
    return given if given.tzinfo else given.replace(tzinfo=UTC)

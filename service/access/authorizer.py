"""Finds out who calls and what they may do, before a message is read."""

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from service.access.quota import TokenQuotas
from service.access.reloaded import LastValid, ReloadedFiles
from service.access.token_file import MOST_TOKEN_BYTES, Token, parse_tokens
from service.errors import Forbidden, Unauthenticated

_HEADER = "authorization"
_SCHEME = "bearer "
_HOW = "send the metadata 'authorization: Bearer TOKEN'; the server's operator makes tokens (kan-serve token)"


class _Status(Protocol):
    @property
    def name(self) -> str:
        """The model's."""


_S = TypeVar("_S", bound=_Status)


@dataclass(frozen=True)
class Caller:
    """The sender of a call.

    Attributes:
        peer: Address and port of the other end of the connection.
        subject: Of the certificate that the other end showed; "" without one.
        token: What the call was sent with; None where the server asks for none. Then everything is allowed.
        authorizer: Found the token.
    """

    peer: str = ""
    subject: str = ""
    token: Token | None = None
    authorizer: "Authorizer | None" = None

    @property
    def name(self) -> str:
        """The name of its token; "" without one."""
        return "" if self.token is None else self.token.name

    def may_use(self, model: str) -> bool:
        """Whether the caller may know of a model."""
        return self.token is None or self.sees_all or self.token.may_use(model)

    @property
    def sees_all(self) -> bool:
        """Whether the caller may know of every model."""
        return self.token is None or "*" in self.token.models

    def visible(self, statuses: Iterable[_S]) -> list[_S]:
        """The statuses of the models that the caller may use."""
        return [status for status in statuses if self.may_use(status.name)]

    def check_model(self, model: str) -> None:
        """Refuse a model that is not among the token's.

        Raises:
            Forbidden: Whether there is such a model is not told.
        """
        if not self.may_use(model):
            shown = model if len(model) <= 80 else model[:80] + "…"
            raise Forbidden(
                f"token {self.name!r} may not use model {shown!r}; it may use {_join(self.token)}. Ask the server's "
                "operator for a token that may"
            )

    def take_rows(self, rows: int) -> None:
        """Count the rows of a request against the token's quota.

        Raises:
            QuotaExceeded: They are too many for now.
        """
        if self.token is not None and self.authorizer is not None:
            self.authorizer.quotas.take(self.token, rows)

    def renewed(self, path: str) -> "Caller":
        """The caller with the token's rights of now: a stream may outlive them.

        Raises:
            Unauthenticated, Forbidden: The token has expired, was taken away, or may not call this method any more.
        """
        if self.token is None or self.authorizer is None:
            return self
        token = self.authorizer.renewed(self.token, path)
        return self if token is self.token else Caller(self.peer, self.subject, token, self.authorizer)


# A caller of a server that has no tokens.
ANYBODY = Caller()


class Authorizer:
    """The tokens of a server.

    Args:
        file: The token file.
        paths: The methods of the server.
        quotas: Count the rows of each token.
        start: What other processes of this server know of the file.
        now: The time of day, with its zone.

    Raises:
        StartupError: The file cannot be read, or is invalid.
    """

    def __init__(
        self,
        file: Path,
        paths: Collection[str],
        quotas: TokenQuotas | None = None,
        start: LastValid | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.quotas = TokenQuotas() if quotas is None else quotas
        self._now = now
        self._tell: Callable[[Sequence[Token]], object] | None = None
        self.file = ReloadedFiles("token file", [file], lambda found: self._told(parse_tokens(found[0], paths)), start)
        self.file.on_taken = self._taken

    def token(self, metadata: Iterable[tuple[str, str | bytes]]) -> Token:
        """The token of a call. What it may do is not looked at: :meth:`check` does that.

        Args:
            metadata: Of the call, keys in lower case.

        Raises:
            Unauthenticated: There is no token, or it is unknown.
        """
        given = [value for key, value in metadata if key == _HEADER]
        if not given:
            raise Unauthenticated(f"the call has no token; {_HOW}")
        if len(given) > 1:
            raise Unauthenticated(f"the call has {len(given)} times the metadata {_HEADER!r}; wanted one")
        text = given[0].decode("latin-1") if isinstance(given[0], bytes) else given[0]
        if text[: len(_SCHEME)].lower() != _SCHEME:
            raise Unauthenticated(f"the metadata {_HEADER!r} holds no bearer token; {_HOW}")
        # Only the blanks of HTTP are cut: gRPC logs a value that it cannot decode, which must be no token then.
        given_token = text[len(_SCHEME) :].strip(" \t")
        token = None
        if given_token.isascii() and len(given_token) <= MOST_TOKEN_BYTES:
            token = self._find(hashlib.sha256(given_token.encode()).digest())
        if token is None:
            raise Unauthenticated("the token is unknown here; ask the server's operator for a new one")
        return token

    def check(self, token: Token, path: str) -> None:
        """Refuse a call that the token may not make.

        Args:
            token: Of :meth:`token`.
            path: "/package.Service/Method".

        Raises:
            Unauthenticated: The token has expired.
            Forbidden: The token may not call this method.
        """
        if token.expires is not None and self._now() >= token.expires:
            raise Unauthenticated(
                f"token {token.name!r} has expired ({token.expires.isoformat()}); "
                "ask the server's operator for a new one"
            )
        if not token.may_call(path):
            raise Forbidden(
                f"token {token.name!r} may not call {path[:120]}; ask the server's operator for a token that may"
            )

    def renewed(self, before: Token, path: str) -> Token:
        """The token of a call that began before, with its rights of now.

        Raises:
            Unauthenticated: The token was taken away, or has expired.
            Forbidden: The token may not call this method.
        """
        # By identity: comparing each field with those of 1000 tokens would take 125 µs.
        if not any(before is each for each in self.file.value):
            found = self._find(before.digest)
            if found is None:
                raise Unauthenticated(f"token {before.name!r} was taken away; ask the server's operator for a new one")
            before = found
        self.check(before, path)
        return before

    def tell_tokens(self, tell: Callable[[Sequence[Token]], object]) -> None:
        """Tell somebody the tokens of the file: now, and at each change, in the thread that looks.

        Before a change is taken, `tell` gets the old and the new tokens; after it, the new ones alone. If the first
        call fails, the change is not taken.
        """
        tell(self.file.value)
        self._tell = tell

    def valid(self) -> tuple[Token, ...]:
        """The tokens that have not expired."""
        now = self._now()
        return tuple(token for token in self.file.value if token.expires is None or now < token.expires)

    def _find(self, digest: bytes) -> Token | None:
        """Compares all: the time tells neither which token it was, nor how much of it was right."""
        found = None
        for token in self.file.value:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def _taken(self) -> None:
        self.quotas.keep({token.name for token in self.file.value})
        if self._tell is not None:
            self._tell(self.file.value)

    def _told(self, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
        """The tokens of a change, which is about to be taken."""
        if self._tell is not None:
            self._tell((*self.file.value, *tokens))
        return tokens


def _join(token: Token | None) -> str:
    models = () if token is None else token.models
    return ", ".join(models[:20]) + (" and more" if len(models) > 20 else "")

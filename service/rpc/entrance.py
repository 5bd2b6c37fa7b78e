"""Where every call enters, on both front ends: its caller is found before a message is read."""

from collections.abc import Callable, Iterable, Sequence

from service.access.access_log import AccessLog
from service.access.authorizer import Authorizer, Caller
from service.access.token_file import Token
from service.rpc.request import RequestContext
from service.tracing.head import Head


class Entrance:
    """Finds out who calls.

    Args:
        authorizer: Knows the tokens; None lets everybody do everything.
        log: Gets a line a request; None for none.
        head: Decides which calls are traced; None if none is.

    Attributes:
        has_tokens: Whether calls must be authorized.
        has_log: Whether the other end of a call's connection must be known.
        head: As given.
    """

    def __init__(
        self, authorizer: Authorizer | None = None, log: AccessLog | None = None, head: Head | None = None
    ) -> None:
        self.has_tokens = authorizer is not None
        self.has_log = log is not None
        self.head = head
        self._authorizer = authorizer
        self._log = log

    def log_call(self, call: RequestContext, peer: str, subject: str) -> None:
        """Have a line written for each request of a call, before it is authorized.

        Args:
            call: Gets the caller's address.
            peer: Address and port of the other end of the connection.
            subject: Of its certificate; "" without one.
        """
        call.caller = Caller(peer, subject)
        call.log = self._log

    def tell_tokens(self, tell: Callable[[Sequence[Token]], object]) -> None:
        """Tell a front end that looks at tokens too, as the authorizer's method does; nothing without a token file.

        Args:
            tell: Is called in any thread.
        """
        if self._authorizer is not None:
            self._authorizer.tell_tokens(tell)

    def authorize(
        self, call: RequestContext, path: str, given: Iterable[tuple[str, str | bytes]] | None = None
    ) -> None:
        """Find out who calls, and whether they may call this method.

        Args:
            call: Gets the caller, also where a known token is refused: the access log names it.
            path: Of the method, "/package.Service/Method".
            given: The call's metadata "authorization" where a front end has it at hand; else it is looked for.

        Raises:
            Unauthenticated: The call has no valid token.
            Forbidden: The token may not call this method.
        """
        if self._authorizer is not None:
            token = self._authorizer.token(call.metadata() if given is None else given)
            call.caller = Caller(call.caller.peer, call.caller.subject, token, self._authorizer)
            self._authorizer.check(token, path)

"""Where every call enters, on both front ends: its caller is found before a message is read."""

from service.access.access_log import AccessLog
from service.access.authorizer import Authorizer, Caller
from service.rpc.request import Metadata, RequestContext
from service.tracing.head import Head


class Entrance:
    """Makes the context of each call.

    Args:
        authorizer: Knows the tokens; None lets everybody do everything.
        log: Gets a line a request; None for none.
        head: Decides which calls are traced; None if none is.

    Attributes:
        wants_peer: Whether the address of a call's connection is of use.
        wants_traceparent: Whether the caller's traceparent is.
    """

    def __init__(
        self, authorizer: Authorizer | None = None, log: AccessLog | None = None, head: Head | None = None
    ) -> None:
        self.wants_peer = log is not None
        self.wants_traceparent = head is not None
        self._authorizer = authorizer
        self._log = log
        self._head = head

    def context(
        self,
        deadline: float | None,
        metadata: Metadata,
        peer: str = "",
        subject: str = "",
        traceparent: str | bytes | None = None,
    ) -> RequestContext:
        """The context of a call whose caller is not authorized yet.

        Args:
            deadline: On the clock of ``time.monotonic``; None without one.
            metadata: Of the call.
            peer: Address and port of the other end of the connection; "" unless `wants_peer`.
            subject: Of its certificate; "" without one, or unless `wants_peer`.
            traceparent: What the caller sent under that name; None unless `wants_traceparent`.
        """
        if self._log is None:
            return RequestContext(deadline, metadata, head=self._head, traceparent=traceparent)
        return RequestContext(deadline, metadata, Caller(peer, subject), self._log, self._head, traceparent)

    def authorize(self, call: RequestContext, path: str) -> None:
        """Find out who calls, and whether they may call this method.

        Args:
            call: Gets the caller.
            path: Of the method, "/package.Service/Method".

        Raises:
            Unauthenticated: The call has no valid token.
            Forbidden: The token may not call this method.
        """
        if self._authorizer is not None:
            token = self._authorizer.token(call.metadata(), path)
            call.caller = Caller(call.caller.peer, call.caller.subject, token, self._authorizer)

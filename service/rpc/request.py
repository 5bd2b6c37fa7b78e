"""One call on its way through the server: what is known of it, from its arrival to its line in the access log."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from service.access.access_log import AccessLog
from service.access.authorizer import Caller

# What a caller sent beside the message: pairs of key, in lower case, and value.
Metadata = Callable[[], Iterable[tuple[str, str | bytes]]]

_ANYBODY = Caller()


@dataclass(slots=True)
class RequestContext:
    """One call, or one request of a stream.

    Args:
        deadline: Moment on the clock of ``time.monotonic`` after which nobody waits for the answer, or None.
        metadata: Gives what the caller sent beside the message.
        caller: Sent it, with their rights.
        request_id: The caller's name for it, for the access log.
        log: Gets a line once the request is answered; None for none.
        model: Filled in by the handler once it has found it, for the metrics' labels.
        version: As `model`.
        rows: Filled in by the handler: of the request.
        inference: Set by the handler where rows are to be computed: those calls make the model's statistics.
        queue_seconds: Filled in by the handler: time until the first run.
        compute_seconds: Filled in by the handler: time of the runs that the rows were part of.
    """

    deadline: float | None = None
    metadata: Metadata = tuple
    caller: Caller = field(default=_ANYBODY)
    request_id: str = ""
    log: AccessLog | None = None
    model: str = ""
    version: str = ""
    rows: int = 0
    inference: bool = False
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0

    def request_of_stream(self, path: str) -> "RequestContext":
        """The context of the next request of a stream, with the caller's rights of now.

        Args:
            path: Of the stream's method.

        Raises:
            Unauthenticated, Forbidden: The caller has lost the rights meanwhile.
        """
        caller = self.caller.renewed(path)
        return RequestContext(self.deadline, self.metadata, caller, self.request_id, self.log)

    def take_rows(self, rows: int) -> None:
        """Note the rows of the request, and count them against the caller's quota.

        Raises:
            QuotaExceeded: They are too many for now.
        """
        self.rows = rows
        self.caller.take_rows(rows)

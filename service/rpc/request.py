"""One call on its way through the server: what is known of it, from its arrival to its line in the access log."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from service.access.access_log import AccessLog
from service.access.authorizer import ANYBODY, Caller
from service.tracing.head import Head
from service.tracing.trace import Trace
from service.tracing.traceparent import TRACEPARENT, read_traceparent

# What a caller sent beside the message: pairs of key, in lower case, and value.
Metadata = Callable[[], Iterable[tuple[str, str | bytes]]]

REQUEST_ID = "x-request-id"
_LONGEST_REQUEST_ID = 128


@dataclass(slots=True)
class RequestContext:
    """One call, or one request of a stream.

    Args:
        deadline: Moment on the clock of ``time.monotonic`` after which nobody waits for the answer, or None.
        metadata: Gives what the caller sent beside the message.
        caller: Sent it, with their rights.
        log: Gets a line once the request is answered; None for none.
        head: Decides whether the call is traced; None if none is.
        traceparent: What the caller sent under that name; only where there is a `head`.
        model: Filled in by the handler once it has found it, for the metrics' labels.
        version: As `model`.
        rows: Filled in by the handler: of the request.
        inference: Set by the handler where rows are to be computed: those calls make the model's statistics.
        queue_seconds: Filled in by the handler: time until the first run.
        compute_seconds: Filled in by the handler: time of the runs that the rows were part of.
        trace: Where the times of the call are kept if it is sampled; set by :func:`service.rpc.calls.invoke`.
    """

    deadline: float | None = None
    metadata: Metadata = tuple
    caller: Caller = field(default=ANYBODY)
    log: AccessLog | None = None
    head: Head | None = None
    traceparent: str | bytes | None = None
    model: str = ""
    version: str = ""
    rows: int = 0
    inference: bool = False
    queue_seconds: float = 0.0
    compute_seconds: float = 0.0
    trace: Trace | None = None
    _request_id: str = field(default="", repr=False)

    def request_of_stream(self, path: str) -> "RequestContext":
        """The context of the next request of a stream, with the caller's rights of now.

        Args:
            path: Of the stream's method.

        Raises:
            Unauthenticated, Forbidden: The caller has lost the rights meanwhile.
        """
        caller = self.caller.renewed(path)
        return RequestContext(self.deadline, self.metadata, caller, self.log, self.head, self.traceparent)

    @property
    def request_id(self) -> str:
        """Names the request in the log: the caller's x-request-id, or a new one if the caller sent none that fits."""
        if not self._request_id:
            given = self._given(REQUEST_ID).strip()
            fits = given.isascii() and given.isprintable() and 0 < len(given) <= _LONGEST_REQUEST_ID
            self._request_id = given if fits else f"{random.getrandbits(64):016x}"
        return self._request_id

    @property
    def trace_id(self) -> str:
        """The trace that the call belongs to, sampled or not: 32 hexadecimal digits, or ""."""
        if self.trace is not None:
            return self.trace.ids.trace_id
        parent = read_traceparent(self._given(TRACEPARENT))
        return "" if parent is None else parent.trace_id

    def names(self) -> str:
        """Its names in a line of the log for people: its request id, and the caller's traceparent."""
        traceparent = self._given(TRACEPARENT)
        return f"{REQUEST_ID} {self.request_id!r}" + (f", {TRACEPARENT} {traceparent!r:.100}" if traceparent else "")

    def log_fields(self, path: str, code: str, seconds: float) -> dict[str, str | float]:
        """What a log line in JSON says of the call.

        Args:
            path: Of the method.
            code: Name of the status code.
            seconds: Time since the call arrived.
        """
        fields: dict[str, str | float] = {
            "request_id": self.request_id,
            "trace_id": self.trace_id,
            "method": path.removeprefix("/"),
            "model": self.model,
            "version": self.version,
            "code": code,
            "seconds": round(seconds, 6),
        }
        if self.compute_seconds:
            fields["queue_seconds"] = round(self.queue_seconds, 6)
            fields["compute_seconds"] = round(self.compute_seconds, 6)
        return fields

    def _given(self, key: str) -> str:
        """The first value of a key that the caller sent; "" if there is none."""
        value = next((value for name, value in self.metadata() if name == key), "")
        return value if isinstance(value, str) else value.decode("latin-1")

"""How a request ends: its status, its counts, its line in the access log. Once for every protocol."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from service.access.access_log import now
from service.errors import (
    Forbidden,
    InferenceFailed,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    QuotaExceeded,
    RepositoryUnreadable,
    ServiceError,
    Unauthenticated,
)
from service.metrics.metrics import Metrics, ModelMetrics, Rejection
from service.rpc.request import RequestContext
from service.rpc.status import Code, RpcError, Unreadable, shorten, status_of
from service.tracing.trace import End

_log = logging.getLogger(__name__)

# The batcher counts the other rejections of those that it was given.
_REJECTIONS: Mapping[type[ServiceError], Rejection] = {
    InvalidRequest: "invalid",
    Unauthenticated: "unauthenticated",
    Forbidden: "forbidden",
    QuotaExceeded: "quota",
}

# A caller's deadline began to run before the request was here, so the caller may leave this much before ours passes.
_DEADLINE_SLACK_SECONDS = 0.01

# gRPC's core does not say which.
_UNRECEIVED = "it is longer than max_message_bytes, the caller left, or the server stopped"


class Named(Protocol):
    """A method of the table, as far as it matters here."""

    @property
    def path(self) -> str:
        """As in the table."""

    @property
    def protocol(self) -> str:
        """Word for the metrics' label."""


def count_unread(metrics: Metrics) -> None:
    """Count an answer that its caller did not read, and has lost; the request is counted as answered."""
    metrics.model("", "").rejected("unread")


def count_refusal(method: Named, error: ServiceError, metrics: Metrics, call: RequestContext) -> RpcError:
    """Count a call that was refused before its handler knew of it; gives what its caller is told."""
    failure = _to_rpc_error(error)
    failure.request_id = call.request_id
    model = count(method, call, failure.code.name, 0.0, metrics)
    model.rejected(_REJECTIONS.get(type(error), "overload"))
    return failure


def count_unreadable(method: Named, error: Unreadable, metrics: Metrics, call: RequestContext) -> None:
    """Count a call whose messages cannot be read; what its caller is told gets the call's name.

    Its line in the access log has what the caller is told: there is no model, version or row to tell the reason by.
    """
    error.request_id = call.request_id
    count(method, call, error.code.name, 0.0, metrics, error.message).rejected("invalid")


def log_unreceived(method: Named, call: RequestContext, error: asyncio.CancelledError, *, stream: bool) -> None:
    """Write the line of a call that was given up before its message, or all of a stream's, were here.

    It is not counted: it is no request.
    """
    if call.log is not None:
        line = _line(method, call, _failure(method, call, error, 0.0).code.name, 0.0)
        call.log.write({**line, "details": f"no {'further' if stream else 'whole'} message came: {_UNRECEIVED}"})


def hold_answer(hold: Callable[[int], None], answer_bytes: int, model: ModelMetrics) -> None:
    """Tell a front end the length of an answer, and count a refusal for want of room."""
    try:
        hold(answer_bytes)
    except Overloaded:
        model.rejected("overload")
        raise


def count(
    method: Named, call: RequestContext, code: str, seconds: float, metrics: Metrics, details: str = ""
) -> ModelMetrics:
    """Count a call that has ended; gives where it was counted. Its line in the access log gets the details, if any."""
    model = metrics.model(call.model, call.version)
    answered = model.request(method.protocol, code, seconds, call.compute_seconds if call.inference else None)
    if (trace := call.trace) is not None:
        answered.traced(seconds, trace.ids.trace_id)
        if call.inference and trace.queue_seconds is not None:
            model.queue_seconds.traced(trace.queue_seconds, trace.ids.trace_id)
        for run in trace.runs:
            if run.traced is not None:
                run.traced(run.seconds, trace.ids.trace_id)
        trace.finish(End(method.path, code, call.model, call.version, call.request_id, seconds))
    if call.log is not None:
        line = _line(method, call, code, seconds)
        call.log.write({**line, "details": details} if details else line)
    return model


def _line(method: Named, call: RequestContext, code: str, seconds: float) -> Mapping[str, object]:
    """A request in the access log."""
    return {
        "time": now(),
        "request_id": call.request_id,
        "trace_id": call.trace_id or None,
        "peer": call.caller.peer,
        "token": call.caller.name or None,
        "certificate": call.caller.subject or None,
        "method": method.path,
        "model": call.model or None,
        "version": call.version or None,
        "code": code,
        "milliseconds": round(1e3 * seconds, 3),
        "queue_milliseconds": round(1e3 * call.queue_seconds, 3),
        "compute_milliseconds": round(1e3 * call.compute_seconds, 3),
        "rows": call.rows,
    }


def count_failure(
    method: Named, call: RequestContext, error: BaseException, seconds: float, metrics: Metrics
) -> RpcError:
    """Count a call that has failed; gives what its caller is told."""
    failure = _failure(method, call, error, seconds)
    failure.request_id = call.request_id
    model = count(method, call, failure.code.name, seconds, metrics)
    if isinstance(error, ServiceError) and (reason := _REJECTIONS.get(type(error))):
        model.rejected(reason)
    return failure


def _failure(method: Named, call: RequestContext, error: BaseException, seconds: float) -> RpcError:
    """What the caller is told; a mistake of ours is logged in full and told in no detail."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        # A front end cancels the handler too when the deadline passes while it works.
        late = call.deadline is not None and time.monotonic() >= call.deadline - _DEADLINE_SLACK_SECONDS
        return RpcError(Code.DEADLINE_EXCEEDED if late else Code.CANCELLED, "the caller has gone")
    if not isinstance(error, ServiceError):
        fields = call.log_fields(method.path, Code.INTERNAL.name, seconds)
        _log.error("%s failed (%s)", method.path, call.names(), exc_info=error, extra={"call": fields})
        return RpcError(Code.INTERNAL, "the server failed to answer; its log says why")
    if isinstance(error, InferenceFailed):
        fields = call.log_fields(method.path, status_of(error).name, seconds)
        _log.error("%s failed (%s): %s", method.path, call.names(), error, extra={"call": fields})
    # These errors name other models.
    if isinstance(error, ModelNotFound) and not call.caller.sees_all:
        return RpcError(status_of(error), "there is no such model or version among those that the token may use")
    if isinstance(error, RepositoryUnreadable) and not call.caller.sees_all:
        _log.warning("%s failed (%s): %s", method.path, call.names(), error)
        return RpcError(status_of(error), "the model repository cannot be read now; the server's log says why")
    return _to_rpc_error(error)


def _to_rpc_error(error: ServiceError) -> RpcError:
    retry_after_seconds = error.retry_after_seconds if isinstance(error, Overloaded | QuotaExceeded) else None
    return RpcError(status_of(error), shorten(str(error)), retry_after_seconds)

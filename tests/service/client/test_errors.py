"""What the client says of a server's refusal, and of a server without any answer."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from service.client.connection import Deadline, Rpc, Wait, drive
from service.client.errors import ClientError, ConnectionLost, DeadlineExceeded, NotConnected, from_status


@pytest.mark.parametrize(
    ("details", "advice"),
    [
        ("the queue of model 'digits' is full", "; try again later or send fewer rows at a time"),
        ("the quota is used; come again after 2 s", ""),
        (
            "model 'digits' is not in memory, and pinned models leave no room for it (max_loaded_models is 2); unpin a "
            "model, or raise the bound",
            "",
        ),
    ],
)
def test_a_refusal_ends_with_what_helps(details: str, advice: str) -> None:
    """Fewer rows help with a full queue, and not where the server says itself what to do."""
    error = from_status(grpc.StatusCode.RESOURCE_EXHAUSTED, details, "kan:8001", 10.0)
    assert str(error) == f"kan:8001 has refused the call: {details}{advice}"


@pytest.mark.parametrize(
    ("reason", "is_silent", "message"),
    [
        (
            "Failed to connect to remote host: connect: Connection refused (111)",
            False,
            "no server at kan:8001: is kan-",
        ),
        (
            "connection attempt timed out before receiving SETTINGS frame",
            True,
            "kan:8001 takes connections and says not",
        ),
        ("Handshake read failed (Endpoint closing)", True, "kan:8001 takes connections and says nothing"),
    ],
)
def test_a_server_that_says_nothing_is_not_taken_for_none(reason: str, is_silent: bool, message: str) -> None:
    """A refused connection shows that nobody listens; one that is made, and silent, shows a server in trouble."""
    details = f"failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:8001: {reason}"
    error = from_status(grpc.StatusCode.UNAVAILABLE, details, "kan:8001", 10.0)
    assert isinstance(error, NotConnected)
    assert (error.is_silent, str(error).startswith(message)) == (is_silent, True)


def test_a_deadline_after_a_silence_is_told_as_the_silence() -> None:
    """A call begun anew that reaches its deadline tells the reason that is known; without one, the deadline."""
    silence = NotConnected("says nothing")
    silence.is_silent = True
    late = DeadlineExceeded("late")
    for known, told in (([silence], silence), ([], late), ([ConnectionLost("closed")], late)):
        failures: Iterator[ClientError] = iter([*known, late])

        def take(step: Rpc[Message] | Wait, failures: Iterator[ClientError] = failures) -> None:
            if isinstance(step, Rpc):
                raise next(failures)
            step.within(Deadline.after(60.0), repeats=True)

        rpc = Rpc("/Health/Check", health_pb2.HealthCheckRequest(), health_pb2.HealthCheckResponse)
        with pytest.raises(ClientError) as raised:
            drive(rpc.answer(), take)
        assert raised.value is told
        assert next(failures, None) is None

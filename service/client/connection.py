"""A gRPC channel for threads, with deadlines and without generated stubs."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Self, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import Message

from service.client import errors
from service.client.access import Access, PortLook
from service.client.channel import Options, Target
from service.client.errors import ClientError, ConnectionLost, NotConnected, Overloaded, from_rpc_error, stream_error

# A wait takes at most this share of the remaining time; the rest is for the call.
_TRY_SHARE = 0.8

_Response = TypeVar("_Response", bound=Message, covariant=True)
_Result = TypeVar("_Result")
_Step = TypeVar("_Step")


@dataclass(frozen=True)
class Rpc(Generic[_Response]):
    """One unary call, without its deadline.

    path      "/package.Service/Method"
    request   the message to send
    response  the type of the message to receive
    """

    path: str
    request: Message
    response: type[_Response]

    def answer(self) -> "Steps[_Response]":
        """The call as a step: `response = yield from rpc.answer()`.

        gRPC does not repeat a call whose answer has begun. If the connection is lost then, the call is begun anew once:
        all calls only read. So is one whose last attempt ends like that, since gRPC tells no difference.

        gRPC's attempts end some 7 s after a server took a connection and said nothing. The call is begun anew until the
        deadline: the next connection may meet another worker. At the deadline the silence is told: it is the reason.

        Raises:
            ClientError: when the call fails.
        """
        lost, silence = 0, None
        while True:
            try:
                return cast(_Response, (yield self))
            except ConnectionLost as error:
                lost += 1
                pause = Pause(0.0, error, least=0.0 if lost == 1 else math.inf)
            except NotConnected as error:
                silence, pause = error, Pause(0.5, error, least=0.5 if error.is_silent else math.inf)
            except errors.DeadlineExceeded as error:
                raise silence or error from error.__cause__
            yield pause


@dataclass(frozen=True)
class Wait:
    """A wait of ``seconds``, or until the deadline if that is earlier."""

    seconds: float

    def within(self, deadline: "Deadline", repeats: bool) -> float:  # noqa: ARG002 - Pause uses it
        """How many seconds to wait, within the time that is left."""
        return min(self.seconds, deadline.left())


@dataclass(frozen=True)
class Pause(Wait):
    """A wait before a call is sent again.

    error    the reason for the wait; raised if a wait is useless: retries are switched off, or the deadline is too near
    least    seconds before which another try is useless
    """

    error: ClientError
    least: float

    def within(self, deadline: "Deadline", repeats: bool) -> float:
        """As :meth:`Wait.within`; some of the time is left for the call.

        Raises:
            ClientError: `error`, when a wait is useless.
        """
        left = deadline.left()
        may_wait = deadline.waits or not isinstance(self.error, Overloaded)
        if not repeats or not may_wait or self.least >= _TRY_SHARE * left:
            raise self.error
        return min(self.seconds, _TRY_SHARE * left)


# A generator that does its calls one after the other and leaves the transport to its runner, :meth:`Connection.run` or
# :meth:`AsyncConnection.run`. It yields a call and is sent the response; if the call fails, a ClientError is thrown in.
# It yields a wait to wait.
Steps: TypeAlias = Generator["Rpc[Message] | Wait", Message | None, _Result]


@dataclass(frozen=True)
class Deadline:
    """The end of the time for one or several calls: `at` in monotonic seconds, `seconds` after its start.

    Without `waits` a refused call is not sent again.
    """

    seconds: float
    at: float
    waits: bool = True

    @classmethod
    def after(cls, seconds: float, waits: bool = True) -> Self:
        """The deadline that many seconds from now.

        Raises:
            ValueError: when the number is not positive, or above 1e7 (116 days).
        """
        if not 0.0 < seconds < 1e7:
            raise ValueError(f"timeout_seconds is {seconds}, wanted a positive number of seconds below 1e7")
        return cls(seconds, time.monotonic() + seconds, waits)

    def left(self) -> float:
        """Seconds until the deadline; 0 after it."""
        return max(0.0, self.at - time.monotonic())


class Connection:
    """A channel that connects by itself, also after the connection was lost. Any thread may call.

    Args:
        target: the servers.
        options: from :func:`service.client.channel.options`.
        repeats: whether a call that a full server refused is sent again after a pause.
        access: TLS and token.

    Attributes:
        address: the servers, as messages name them.
    """

    def __init__(self, target: Target, options: Options, repeats: bool, access: Access) -> None:
        self.address: Final = target.address
        self._repeats = repeats
        self._access = access
        self._look = PortLook(target.address, access.tls)
        self._channel = _open_channel(target, (*options, *access.options()), access)

    def run(self, steps: Steps[_Result], deadline: Deadline) -> _Result:
        """Do the calls and pauses of all steps.

        Args:
            steps: the generator to run.
            deadline: for all steps together.

        Returns:
            The return value of the generator.

        Raises:
            ClientError: when a call fails; one of its subclasses if one fits.
            ValueError: when the connection is closed.
        """
        return drive(steps, lambda step: self.take(step, deadline))

    def take(self, step: Rpc[Message] | Wait, deadline: Deadline) -> Message | None:
        """Do one call or wait."""
        if isinstance(step, Wait):
            time.sleep(step.within(deadline, self._repeats))
            return None
        method = self._channel.unary_unary(
            step.path,
            request_serializer=serialize,
            response_deserializer=step.response.FromString,
        )
        try:
            answer = method(step.request, timeout=deadline.left(), metadata=self._access.metadata())
        except grpc.RpcError as error:
            failure = from_rpc_error(error, self.address, deadline.seconds)
            raise self._look.explained(failure, deadline.left()) from error
        self._look.end()
        return answer

    def stream(
        self, path: str, requests: Iterator[Message], response: type[_Response], deadline: Deadline
    ) -> Generator[_Response, None, None]:
        """Open a bidirectional stream and give its answers as they arrive. Close the generator to cancel the stream.

        Args:
            path: "/package.Service/Method".
            requests: must not raise. A thread of gRPC reads it, one message ahead of the server.
            response: the type of the messages to receive.
            deadline: for the whole stream.

        Raises:
            ClientError, ValueError: as :meth:`run`.
        """
        method = self._channel.stream_stream(
            path, request_serializer=serialize, response_deserializer=response.FromString
        )
        call = method(requests, timeout=deadline.left(), metadata=self._access.metadata())
        try:
            yield from call
            self._look.end()
        except grpc.RpcError as error:
            failure = stream_error(error, self.address, deadline.seconds, deadline.left())
            raise self._look.explained(failure, deadline.left()) from error
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the channel; calls in flight are cancelled."""
        self._channel.close()


def _open_channel(target: Target, options: Options, access: Access) -> grpc.Channel:
    credentials = access.credentials()
    if credentials is None:
        return grpc.insecure_channel(target.uri, options=options)
    return grpc.secure_channel(target.uri, credentials, options=options)


def drive(steps: Generator[_Step, Message | None, _Result], take: Callable[[_Step], Message | None]) -> _Result:
    """Run a generator of steps.

    Args:
        steps: the generator. It gets the result of each step, or the ClientError that the step raised.
        take: does one step.

    Returns:
        The return value of the generator.
    """
    try:
        step = next(steps)
        while True:
            try:
                answer = take(step)
            except ClientError as error:
                step = steps.throw(error)
            else:
                step = steps.send(answer)
    except StopIteration as done:
        return cast(_Result, done.value)


def serialize(message: Message) -> bytes:
    """The message as bytes."""
    return message.SerializeToString()

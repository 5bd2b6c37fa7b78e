"""Predictions over gRPC from Python, numpy in and numpy out.

    with Client("127.0.0.1:8001") as client:
        prediction = client.predict("digits", rows)

Needs numpy, grpcio and protobuf, and goes together with tritonclient in one process.
"""

from collections.abc import Sequence
from typing import Self, TypeVar

from kan_api.v1 import manifest_pb2
from service.client.answers import Health, ModelInfo, Prediction
from service.client.channel import MOST_ATTEMPTS, options, target
from service.client.connection import Connection, Deadline, Steps
from service.client.conversation import Conversation, Rows

_Result = TypeVar("_Result")


class Client:
    """A connection to one server or to several alike, for any number of threads; close it, or use it in a `with`.

    Args:
        address: "host:port"; "1.2.3.4:port,1.2.3.5:port" or a sequence of such for several servers that are asked in
            turn, by IP address; "dns:///name:port" for all the servers that a name stands for. Of several, only those
            are asked that say they are ready.
        timeout_seconds: how long a method may take in all, unless it is told otherwise.
        max_attempts: how often a call is sent at most while the server is unavailable, 1 (once) to 5, after waits of
            0.1, 0.2, 0.4 and 0.8 s, give or take a fifth. No other failure is repeated.
        wait_for_ready: whether calls wait, as long as they may take, for a server that is not there or not ready; else
            they fail with Unavailable once they have been sent max_attempts times.

    Raises:
        ValueError: when the address is of another form, the timeout is not positive or max_attempts is out of range.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        timeout_seconds: float = 10.0,
        max_attempts: int = MOST_ATTEMPTS,
        wait_for_ready: bool = False,
    ) -> None:
        Deadline.after(timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._conversation = Conversation()
        servers = target(address)
        self._connection = Connection(servers, options(servers.several, max_attempts, wait_for_ready))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._connection.close()

    def predict(
        self, model: str, rows: Rows, version: int | None = None, timeout_seconds: float | None = None
    ) -> Prediction:
        """Answers for the rows, all from one version of the model.

        Args:
            model: its name.
            rows: numbers [rows, features] in the order of the model's features, or [features] for one row; or rows by
                column name, in any order, words as words: one dict a row, or a DataFrame. Columns that the model does
                not know are ignored. More rows than the server takes at once are sent one request after the other.
            version: None is the latest that is ready.
            timeout_seconds: for all of it; None is the client's.

        Raises:
            InvalidInput: when the rows do not fit the model.
            NotFound: when there is no such model or version.
            Overloaded, DeadlineExceeded, Unavailable: when the server is too busy, too slow or not there.
            ClientError: when it fails in any other way.
        """
        return self._run(self._conversation.predict(model, rows, version), timeout_seconds)

    def models(self, timeout_seconds: float | None = None) -> list[ModelInfo]:
        """Every model version that the server knows, ready or not."""
        return self._run(self._conversation.models(), timeout_seconds)

    def manifest(
        self, model: str, version: int | None = None, timeout_seconds: float | None = None
    ) -> manifest_pb2.ModelManifest:
        """What a model version says about itself: columns, classes, metrics, formula.

        Args:
            model: its name.
            version: None is the latest that is ready.
            timeout_seconds: None is the client's.

        Raises:
            NotFound: when there is no such model or version.
        """
        return self._run(self._conversation.manifest(model, version), timeout_seconds)

    def health(self, service: str = "", timeout_seconds: float | None = None) -> Health:
        """Whether the server ("") or one of its models (its name) answers predictions now.

        Raises:
            NotFound: when the server does not know the service.
        """
        return self._run(self._conversation.health(service), timeout_seconds)

    def _run(self, steps: Steps[_Result], timeout_seconds: float | None) -> _Result:
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        return self._connection.run(steps, Deadline.after(seconds))

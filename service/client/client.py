"""Predictions over gRPC from Python, numpy in and numpy out.

    with Client("127.0.0.1:8001") as client:
        prediction = client.predict("digits", rows)

Needs numpy, grpcio and protobuf, and goes together with tritonclient in one process.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Self, TypeVar

from kan_api.v1 import manifest_pb2
from service.client.answers import Health, ModelInfo, Prediction
from service.client.channel import MOST_ATTEMPTS, options, target
from service.client.connection import Connection, Deadline, Steps
from service.client.streaming.block_stream import BlockStream
from service.client.streaming.conversation import Conversation, RowsLike
from service.client.streaming.streams import predictions

_Result = TypeVar("_Result")


class Client:
    """A connection to one server or to several alike, for any number of threads; close it, or use it in a `with`.

    Args:
        address: "host:port"; "1.2.3.4:port,1.2.3.5:port" or a sequence of such for several servers that are asked in
            turn, by IP address; "dns:///name:port" for all the servers that a name stands for. Of several, only those
            are asked that say they are ready.
        timeout_seconds: how long a method may take in all, unless it is told otherwise.
        max_attempts: how often a call is sent at most while the server is unavailable, 1 (once) to 5, after waits of
            0.1, 0.2, 0.4 and 0.8 s, give or take a fifth. Where it is not 1, calls that a full server refuses are sent
            again too, until their deadline, after waits that the server names and that grow. No other failure is
            repeated.
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
        self._max_attempts = max_attempts
        self._conversation = Conversation()
        servers = target(address)
        self._connection = Connection(
            servers, options(servers.several, max_attempts, wait_for_ready), repeats=max_attempts > 1
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._connection.close()

    def predict(
        self,
        model: str,
        rows: RowsLike,
        version: int | None = None,
        timeout_seconds: float | None = None,
        *,
        bulk: bool = False,
    ) -> Prediction:
        """Answers for the rows, all from one version of the model.

        Args:
            model: its name.
            rows: numbers [rows, features] in the order of the model's features, or [features] for one row; or rows by
                column name, in any order, words as words: one dict a row, or a DataFrame. Columns that the model does
                not know are ignored. More rows than one request should bring are sent one request after the other.
            version: None is the latest that is ready when the first request comes. Where that goes before the last row,
                all are asked for anew of the newest one, at most three times, with a warning.
            timeout_seconds: for all of it; None is the client's.
            bulk: nobody waits for these rows: the server lets others go first.

        Raises:
            InvalidInput: when the rows do not fit the model.
            NotFound: when there is no such model or version.
            Overloaded, DeadlineExceeded, Unavailable: when the server is too busy, too slow or not there.
            ClientError: when it fails in any other way.
        """
        return self._run(self._conversation.predict(model, rows, version, bulk), timeout_seconds)

    def predict_stream(
        self,
        model: str,
        blocks: Iterable[RowsLike],
        version: int | None = None,
        timeout_seconds: float | None = None,
        *,
        bulk: bool = False,
    ) -> Generator[Prediction, None, None]:
        """Answers for many blocks of rows over one call, which costs both sides less than a call each.

        Up to 64 blocks, of as many rows together as one request of :meth:`predict` brings (512 by default), or one
        longer block are under way at once. `blocks` is read in another thread, no further ahead than that, and only as
        fast as predictions are taken. A block that fails raises in its place: the predictions of those before it come
        first, the rest is dropped. So does an error of `blocks` itself. Unless max_attempts is 1, a block that a full
        server refuses is sent again after a pause, and a stream that breaks off, since its server stops, is opened
        again, and what has no answer is sent again: no block is lost. Close the generator (``contextlib.closing``), or
        drop it, to cancel what is under way.

        Args:
            model: its name.
            blocks: of rows, each as :meth:`predict` takes them and of at most 4096 rows and 16 MiB.
            version: None is for each block the latest that is ready when it comes.
            timeout_seconds: for the whole stream, from this call on; None is the client's.
            bulk: nobody waits for these rows: the server lets others go first.

        Returns:
            One prediction a block, in the order of the blocks.

        Raises:
            InvalidInput, NotFound, Overloaded, DeadlineExceeded, Unavailable, ClientError: as :meth:`predict`, with
                the number of the block, counted from 0, where it is one block's; raised by the generator.
        """
        deadline = self._deadline(timeout_seconds)
        stream = BlockStream(
            self._conversation, model, version, bulk, deadline, self._max_attempts, self._connection.address
        )
        return predictions(self._connection, stream, iter(blocks))

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
        return self._connection.run(steps, self._deadline(timeout_seconds))

    def _deadline(self, timeout_seconds: float | None) -> Deadline:
        return Deadline.after(self._timeout_seconds if timeout_seconds is None else timeout_seconds)

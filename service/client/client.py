"""Predictions over gRPC from Python, with numpy arrays as input and output.

    with Client("127.0.0.1:8001") as client:
        prediction = client.predict("digits", rows)

Needs numpy, grpcio and protobuf. It works in one process with tritonclient.
"""

from collections.abc import Generator, Iterable, Sequence
from typing import Self, TypeVar

from kan_api.v1 import manifest_pb2
from service.client.access import TLS, Access, TokenLike
from service.client.answers import Health, ModelInfo, Prediction
from service.client.channel import MOST_ATTEMPTS, options, target
from service.client.connection import Connection, Deadline, Steps
from service.client.explanations import Explanation
from service.client.limits import widest
from service.client.streaming.block_stream import BlockStream
from service.client.streaming.conversation import Conversation, RowsLike
from service.client.streaming.explaining import explain
from service.client.streaming.streams import predictions

_Result = TypeVar("_Result")


class Client:
    """A connection to one server, or to several equal servers, for any number of threads.

    Close it after use, or use it in a `with`.

    Args:
        address: one of three forms. "host:port" is one server. "1.2.3.4:port,1.2.3.5:port", or a sequence of such
            strings, is several servers by IP address; calls go to them in turn. "dns:///name:port" is every server
            behind one name. Of several servers only those that report to be ready get calls.
        timeout_seconds: longest time of one method call, retries included; each method can override it.
        max_attempts: most times that a call is sent while the server is unavailable, from 1 (no retries) to 5. The
            waits are 0.1, 0.2, 0.4 and 0.8 s, varied by up to 20 %. Above 1, two more kinds of calls are sent again. A
            call that a full server refuses is sent until its deadline; the server says how long to wait, and the waits
            grow. A call whose connection ends during it is begun anew, once. No other failure is retried.
        wait_for_ready: whether calls wait, until their deadline, for a server that is absent or not ready. Otherwise
            they fail with Unavailable after max_attempts tries.
        tls: encrypts the connection; None is plain text. The certificates are read once: make a new client after a
            change of the authority.
        token: the bearer token that the server asks for, or a function that gives it for each call. Without TLS whoever
            reads the network reads it, and servers are not asked whether they are ready.

    Raises:
        ValueError: when the address has another form, the timeout is not positive, max_attempts is out of range, or a
            file of `tls` does not fit.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        timeout_seconds: float = 10.0,
        max_attempts: int = MOST_ATTEMPTS,
        wait_for_ready: bool = False,
        *,
        tls: TLS | None = None,
        token: TokenLike | None = None,
    ) -> None:
        Deadline.after(timeout_seconds)
        self._timeout_seconds = timeout_seconds
        self._max_attempts = max_attempts
        self._conversation = Conversation()
        servers = target(address)
        access = Access.of(servers, tls, token, wait_for_ready)
        chosen = options(servers.several, max_attempts, wait_for_ready, checks_health=access.checks_health)
        self._connection = Connection(servers, chosen, max_attempts > 1, access)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
        self._connection.close()

    def request_rows(self, manifest: manifest_pb2.ModelManifest) -> int:
        """Rows of one request for a long table, as the server recommended with the latest manifest."""
        return self._conversation.limits.shared_rows(widest(manifest))

    def predict(
        self,
        model: str,
        rows: RowsLike,
        version: int | None = None,
        timeout_seconds: float | None = None,
        *,
        bulk: bool = False,
        report_ground: bool = False,
        wait: bool = True,
    ) -> Prediction:
        """Predict the rows, all with one version of the model.

        Args:
            model: its name.
            rows: numbers [rows, features] in the order of the model's features, or [features] for one row. Or rows by
                column name: one dict a row, or a DataFrame, with columns in any order and categories as words. Columns
                that the model does not know are ignored. A long table is sent in several requests, one after another.
            version: a number; None is the latest that is ready when the first request arrives. If that version is
                removed before the last row, all rows are predicted again with the newest version. That happens at most
                three times, each with a warning.
            timeout_seconds: for all requests together; None is the client's.
            bulk: marks rows that nobody waits for. The server computes other rows first.
            report_ground: asks which cells no training row resembles; `ground` of the prediction tells them.
            wait: whether a request that a quota or a full server refuses is sent again; else Overloaded says when.

        Returns:
            One answer a row, in the order of the rows.

        Raises:
            InvalidInput: when the rows do not fit the model.
            NotFound: when there is no such model or version.
            Overloaded, DeadlineExceeded, Unavailable: when the server is too busy, too slow or absent.
            ClientError: when the call fails in any other way.
            ValueError: when the version is no whole number.
        """
        return self._run(self._conversation.predict(model, rows, version, bulk, report_ground), timeout_seconds, wait)

    def predict_stream(
        self,
        model: str,
        blocks: Iterable[RowsLike],
        version: int | None = None,
        timeout_seconds: float | None = None,
        *,
        bulk: bool = False,
        report_ground: bool = False,
    ) -> Generator[Prediction, None, None]:
        """Predict many blocks of rows over one stream, which costs both sides less than one call a block.

        At most 64 blocks are in flight at once, with at most as many rows together as one request of :meth:`predict`
        (512 by default). A longer block is in flight alone. `blocks` is read in another thread, no further ahead than
        that, and only as fast as predictions are taken.

        If a block fails, or `blocks` raises, the generator gives the predictions of all earlier blocks and then raises.

        Unless max_attempts is 1, no block is lost. A block that a full server refuses is sent again after a pause. If
        the server stops, the client opens another stream and sends the blocks without an answer again.

        To cancel the blocks in flight, close the generator (``contextlib.closing``) or drop it.

        Args:
            model: its name.
            blocks: rows, each block as :meth:`predict` takes them, with at most 4096 rows and 16 MiB.
            version: a number; None is the latest that is ready, for each block anew.
            timeout_seconds: for the whole stream, from this call on; None is the client's.
            bulk: marks rows that nobody waits for. The server computes other rows first.
            report_ground: asks which cells no training row resembles; `ground` of the prediction tells them.

        Returns:
            One prediction a block, in the order of the blocks.

        Raises:
            InvalidInput, NotFound, Overloaded, DeadlineExceeded, Unavailable, ClientError: as :meth:`predict`; raised
                by the generator. The error of one block names its number, counted from 0.
        """
        deadline = self._deadline(timeout_seconds)
        stream = BlockStream(
            self._conversation,
            model,
            version,
            bulk,
            deadline,
            self._max_attempts,
            self._connection.address,
            report_ground,
        )
        return predictions(self._connection, stream, iter(blocks))

    def explain(
        self,
        model: str,
        rows: RowsLike,
        version: int | None = None,
        timeout_seconds: float | None = None,
        *,
        reference: RowsLike | None = None,
        bulk: bool = False,
        wait: bool = True,
    ) -> Explanation:
        """Explain the answers to the rows: how much each column contributes to each answer, by one version.

        For each row and output the contributions add up to ``explained - baseline``. Of a regression, `explained` is
        the answer; of classes, the score before the softmax.

        Args:
            model: its name.
            rows: as :meth:`predict` takes them.
            version: as for :meth:`predict`.
            timeout_seconds: for all requests together; None is the client's.
            reference: one row for all, or one for each row, as `rows`. The contributions say what makes the answer
                differ from the answer to the reference. None is the model's reference row: medians of the training
                rows, and the most frequent words.
            bulk: marks rows that nobody waits for. The server computes other rows first.
            wait: as for :meth:`predict`.

        Returns:
            One explanation a row, in the order of the rows.

        Raises:
            NotPublished: when the version has no attribution.onnx. The message names the command that adds it.
            InvalidInput: when the rows, or the reference, do not fit the model.
            NotFound, Overloaded, DeadlineExceeded, Unavailable, ClientError: as :meth:`predict`.
        """
        return self._run(explain(self._conversation, model, rows, reference, version, bulk), timeout_seconds, wait)

    def models(self, timeout_seconds: float | None = None) -> list[ModelInfo]:
        """Every model version that the server knows, ready or not."""
        return self._run(self._conversation.models(), timeout_seconds)

    def manifest(
        self, model: str, version: int | None = None, timeout_seconds: float | None = None
    ) -> manifest_pb2.ModelManifest:
        """The manifest of a model version: columns, classes, metrics, formula.

        Args:
            model: its name.
            version: a number; None is the latest that is ready.
            timeout_seconds: None is the client's.

        Raises:
            NotFound: when there is no such model or version.
        """
        return self._run(self._conversation.manifest(model, version), timeout_seconds)

    def health(self, service: str = "", timeout_seconds: float | None = None) -> Health:
        """Whether a model answers predictions now.

        Args:
            service: the name of a model; "" asks about the whole server.
            timeout_seconds: None is the client's.

        Raises:
            NotFound: when the server does not know the service.
        """
        return self._run(self._conversation.health(service), timeout_seconds)

    def _run(self, steps: Steps[_Result], timeout_seconds: float | None, wait: bool = True) -> _Result:
        return self._connection.run(steps, self._deadline(timeout_seconds, wait))

    def _deadline(self, timeout_seconds: float | None, wait: bool = True) -> Deadline:
        return Deadline.after(self._timeout_seconds if timeout_seconds is None else timeout_seconds, wait)

"""Client for asyncio, with the same methods as coroutines.

async with AsyncClient("127.0.0.1:8001") as client:
    prediction = await client.predict("digits", rows)
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from typing import Self, TypeVar

from kan_api.v1 import manifest_pb2
from service.client.access import TLS, Access, TokenLike
from service.client.answers import Health, ModelInfo, Prediction
from service.client.async_connection import AsyncConnection
from service.client.channel import MOST_ATTEMPTS, options, target
from service.client.connection import Deadline, Steps
from service.client.explanations import Explanation
from service.client.limits import widest
from service.client.streaming.async_streams import predictions
from service.client.streaming.block_stream import BlockStream
from service.client.streaming.conversation import Conversation, RowsLike
from service.client.streaming.explaining import explain

_Result = TypeVar("_Result")


class AsyncClient:
    """As :class:`service.client.client.Client`, for any number of tasks of one event loop.

    It is connected inside an `async with`; at the end of the block, calls in flight are cancelled. A cancelled task
    cancels its own call and no other.

    Arguments and errors are those of :class:`service.client.client.Client`.
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
        self._target = target(address)
        self._access = Access.of(self._target, tls, token, wait_for_ready)
        self._options = options(
            self._target.several, max_attempts, wait_for_ready, checks_health=self._access.checks_health
        )
        self._connection: AsyncConnection | None = None

    async def __aenter__(self) -> Self:
        if self._connection is not None:
            raise ValueError("the client is connected already; make one for each `async with`")
        self._connection = AsyncConnection(self._target, self._options, self._max_attempts > 1, self._access)
        return self

    async def __aexit__(self, *_: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def request_rows(self, manifest: manifest_pb2.ModelManifest) -> int:
        """As :meth:`service.client.client.Client.request_rows`."""
        return self._conversation.limits.shared_rows(widest(manifest))

    async def predict(
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
        """As :meth:`service.client.client.Client.predict`."""
        return await self._run(
            self._conversation.predict(model, rows, version, bulk, report_ground), timeout_seconds, wait
        )

    def predict_stream(
        self,
        model: str,
        blocks: Iterable[RowsLike] | AsyncIterable[RowsLike],
        version: int | None = None,
        timeout_seconds: float | None = None,
        *,
        bulk: bool = False,
        report_ground: bool = False,
    ) -> AsyncGenerator[Prediction, None]:
        """As :meth:`service.client.client.Client.predict_stream`, for `async for`.

        `blocks` may be an asynchronous iterable too. Another task on the event loop reads it and ends with the
        generator. If you leave the loop over the generator early, close it (``contextlib.aclosing``).
        """
        iterator = aiter(blocks) if isinstance(blocks, AsyncIterable) else iter(blocks)
        deadline = self._deadline(timeout_seconds)
        connection = self._require_connection()
        stream = BlockStream(
            self._conversation,
            model,
            version,
            bulk,
            deadline,
            self._max_attempts,
            connection.address,
            report_ground,
        )
        return predictions(connection, stream, iterator)

    async def explain(
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
        """As :meth:`service.client.client.Client.explain`."""
        return await self._run(
            explain(self._conversation, model, rows, reference, version, bulk), timeout_seconds, wait
        )

    async def models(self, timeout_seconds: float | None = None) -> list[ModelInfo]:
        """As :meth:`service.client.client.Client.models`."""
        return await self._run(self._conversation.models(), timeout_seconds)

    async def manifest(
        self, model: str, version: int | None = None, timeout_seconds: float | None = None
    ) -> manifest_pb2.ModelManifest:
        """As :meth:`service.client.client.Client.manifest`."""
        return await self._run(self._conversation.manifest(model, version), timeout_seconds)

    async def health(self, service: str = "", timeout_seconds: float | None = None) -> Health:
        """As :meth:`service.client.client.Client.health`."""
        return await self._run(self._conversation.health(service), timeout_seconds)

    async def _run(self, steps: Steps[_Result], timeout_seconds: float | None, wait: bool = True) -> _Result:
        return await self._require_connection().run(steps, self._deadline(timeout_seconds, wait))

    def _require_connection(self) -> AsyncConnection:
        if self._connection is None:
            raise ValueError("the client is not connected; use it inside an `async with`")
        return self._connection

    def _deadline(self, timeout_seconds: float | None, wait: bool = True) -> Deadline:
        return Deadline.after(self._timeout_seconds if timeout_seconds is None else timeout_seconds, wait)

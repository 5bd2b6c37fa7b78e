"""Callers, each with the newest generation that the server has taken."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from tests.kit.callers.protocols import KanApi
from tests.kit.rotation.files import Generation, RotatedFiles

_OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
_STREAM_REQUESTS = 16  # on the way at once
_SECONDS = 60


class Callers:
    """Callers of Predict on kept connections and on a new one a call, and of PredictStream.

    Args:
        address: Of the server.
        files: What it has on disk.
        request: Of both methods; answers to it must all be equal.
        pause_seconds: How long each caller waits after a call; one with a stream waits after 16 requests.

    Attributes:
        generation: That callers use from their next call on.
        answered: Number of answers, by kind of caller.
        failures: What became of the other calls.
    """

    def __init__(self, address: str, files: RotatedFiles, request: bytes, pause_seconds: float) -> None:
        self.generation: Generation = files.generations[0]
        self.answered: Counter[str] = Counter()
        self.failures: list[str] = []
        self._address, self._ca, self._request = address, files.ca.read_bytes(), request
        self._pause_seconds = pause_seconds
        self._used: dict[int, int] = {}
        self._over = False
        self._expected: bytes | None = None

    @asynccontextmanager
    async def calling(self, kept: int, connecting: int, streaming: int) -> AsyncIterator[None]:
        """Have so many callers of each kind ask until the block ends."""
        loops = [self._keep] * kept + [self._connect] * connecting + [self._stream] * streaming
        self._used = dict.fromkeys(range(len(loops)), -1)
        tasks = [asyncio.create_task(loop(number)) for number, loop in enumerate(loops)]
        try:
            yield
        finally:
            self._over = True
            await asyncio.gather(*tasks)

    async def move(self, generation: Generation) -> None:
        """Have the callers use a generation; returns once each has made a call with it."""
        self.generation = generation
        async with asyncio.timeout(_SECONDS):
            while min(self._used.values()) < generation.number:  # noqa: ASYNC110 - callers have no event
                await asyncio.sleep(0.01)

    async def code(self, certificate: Generation, token: Generation) -> str:
        """The status of one call on a new connection."""
        async with self._channel(certificate) as channel:
            try:
                await self._predict(channel, token)
            except grpc.aio.AioRpcError as error:
                return error.code().name
        return "OK"

    async def _keep(self, caller: int) -> None:
        """One connection for all calls."""
        async with self._channel(self.generation) as channel:
            while not self._over:
                await self._ask("kept", caller, channel, self.generation)

    async def _connect(self, caller: int) -> None:
        """A new connection for each call."""
        while not self._over:
            generation = self.generation
            async with self._channel(generation) as channel:
                await self._ask("new", caller, channel, generation)

    async def _stream(self, caller: int) -> None:
        """One connection, and a stream for each generation."""
        async with self._channel(self.generation) as channel:
            while not self._over:
                await self._converse(caller, channel, self.generation)

    async def _ask(self, kind: str, caller: int, channel: grpc.aio.Channel, generation: Generation) -> None:
        try:
            self._check(KanApi.answer(await self._predict(channel, generation))[2].tobytes())
        except grpc.aio.AioRpcError as error:
            self._fail(kind, caller, generation, error.code().name, error.details())
        else:
            self._count(kind, caller, generation)
        await asyncio.sleep(self._pause_seconds)

    async def _converse(self, caller: int, channel: grpc.aio.Channel, generation: Generation) -> None:
        method: Any = channel.stream_stream(KanApi.stream_path)
        stream = method(metadata=generation.metadata)
        try:
            while not self._over and generation is self.generation:
                for _ in range(_STREAM_REQUESTS):
                    await stream.write(self._request)
                for _ in range(_STREAM_REQUESTS):
                    _, code, values, _ = KanApi.stream_answer(await stream.read())
                    if code != "OK":
                        self._fail("stream", caller, generation, code, values)
                    else:
                        self._check(values.tobytes())
                        self._count("stream", caller, generation)
                await asyncio.sleep(self._pause_seconds)
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF
        except grpc.aio.AioRpcError as error:
            self._fail("stream", caller, generation, error.code().name, error.details())

    async def _predict(self, channel: grpc.aio.Channel, generation: Generation) -> bytes:
        method: Any = channel.unary_unary(KanApi.path)
        answer: bytes = await method(self._request, timeout=_SECONDS, metadata=generation.metadata)
        return answer

    def _channel(self, generation: Generation) -> grpc.aio.Channel:
        pair = generation.pair
        credentials = grpc.ssl_channel_credentials(self._ca, pair.key.read_bytes(), pair.cert.read_bytes())
        return grpc.aio.secure_channel(self._address, credentials, options=_OPTIONS)

    def _check(self, values: bytes) -> None:
        self._expected = self._expected or values
        assert values == self._expected, "two answers to one request differ"

    def _count(self, kind: str, caller: int, generation: Generation) -> None:
        self.answered[kind] += 1
        self._used[caller] = generation.number

    def _fail(self, kind: str, caller: int, generation: Generation, code: str, details: object) -> None:
        self._used[caller] = generation.number
        self.failures.append(f"{kind}, generation {generation.number} of {self.generation.number}: {code}: {details}")

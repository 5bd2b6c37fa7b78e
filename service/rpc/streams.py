"""A stream of requests, each answered as a call of its own, many at once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from service.metrics.metrics import Metrics
from service.rpc.admission import Held
from service.rpc.calls import BidiStream, RequestContext, invoke
from service.rpc.limits import MESSAGES_IN_FLIGHT
from service.rpc.status import Code, RpcError


async def answer_bidi_stream(
    method: BidiStream,
    call: RequestContext,
    held: Held,
    requests: AsyncIterator[bytes],
    metrics: Metrics,
    max_answer_bytes: int,
    stopping: asyncio.Event,
) -> AsyncGenerator[list[bytes], None]:
    """Answer the requests of one stream, and count each of them; one that fails ends nothing.

    Close it (``contextlib.aclosing``) to cancel what is being answered.

    Args:
        method: From the table.
        call: The whole stream's; each request gets a context of its own with the same deadline and metadata.
        held: What the stream holds; cancelled with the stream where that is too much.
        requests: The messages as they come over the wire; at most :data:`service.rpc.limits.MESSAGES_IN_FLIGHT` are
            read whose answers are not taken, and no more while they are many bytes.
        metrics: Where each request is counted.
        max_answer_bytes: Longest answer that the transport takes.
        stopping: Once set, no more is read; what was read is still answered.

    Yields:
        Answers as they go over the wire, all that are ready.

    Raises:
        RpcError: UNAVAILABLE, after the last answer, where the server stopped before the caller was done.
        Exception: Whatever `requests` raises.
    """
    room = asyncio.Semaphore(MESSAGES_IN_FLIGHT)
    answers: asyncio.Queue[bytes | None] = asyncio.Queue()
    working: set[asyncio.Task[None]] = set()

    async def answer(request: bytes) -> None:
        try:
            answered = await invoke(method, call.request(), request, metrics, max_answer_bytes)
        except RpcError as error:
            answered = method.failure(request, error)
        held.count_answer(len(request), len(answered))
        answers.put_nowait(answered)

    async def read() -> None:
        await room.acquire()
        async for request in requests:
            held.take(len(request))
            task = asyncio.create_task(answer(request))
            working.add(task)
            task.add_done_callback(ended)
            await room.acquire()
            await held.room()

    def ended(task: asyncio.Task[None]) -> None:
        working.discard(task)
        if reading.done() and not working:
            answers.put_nowait(None)

    reading = asyncio.create_task(read(), name=f"read {method.path}")
    reading.add_done_callback(ended)
    stop = asyncio.create_task(stopping.wait(), name=f"stop {method.path}")
    stop.add_done_callback(lambda _: reading.cancel())
    try:
        over = False
        while not over:
            ready = [await answers.get()]
            while not answers.empty():
                ready.append(answers.get_nowait())
            over = ready[-1] is None
            if given := [one for one in ready if one is not None]:
                yield given
            for one in given:
                held.release_answer(len(one))
                room.release()
        if reading.cancelled():
            raise RpcError(Code.UNAVAILABLE, "the server is stopping; what has no answer was not read")
        reading.result()
    finally:
        tasks = (stop, reading, *working)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

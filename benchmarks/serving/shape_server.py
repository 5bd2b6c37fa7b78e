"""Designs of a grpcio server for a small model, as bare prototypes: no metrics, no versions, hardly any checks.

``python -m benchmarks.serving.shape_server SHAPE MODEL.onnx`` prints its port and serves until it is killed. Shapes:

aio-inline      grpc.aio on uvloop; the handler of each request runs the model
aio-batch       the same; requests of one turn of the event loop run together in the next turn
aio-thread      the same; the model runs in a separate thread
sync-N          a sync server with N threads; each request runs the model in its own thread
leader-N        the same; the thread that finds the session free runs the rows of all waiting threads
"""

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

from benchmarks.common.sessions import open_session
from kan_api.v1 import prediction_pb2 as pb

Rows = NDArray[np.float32]
_MOST_ROWS = 64


def main() -> None:
    """Serve."""
    shape, path = sys.argv[1:]
    session = open_session(Path(path).read_bytes())

    def run(rows: Rows) -> Rows:
        answer: Rows = session.run(None, {"features": rows})[0]
        return answer

    kind, _, threads = shape.partition("-")
    if kind == "aio":
        import uvloop

        uvloop.run(_serve_aio(threads, run))
    else:
        submit = _Leader(run).submit if kind == "leader" else run
        server = grpc.server(
            ThreadPoolExecutor(int(threads)),
            handlers=[_Handler(lambda request, _context: _encode(request, submit(_decode(request))))],
        )
        print(server.add_insecure_port("127.0.0.1:0"), flush=True)
        server.start()
        server.wait_for_termination()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, answer: Any) -> None:
        self._handler: Any = grpc.unary_unary_rpc_method_handler(answer, pb.PredictRequest.FromString)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002
        return self._handler


def _decode(request: pb.PredictRequest) -> Rows:
    features = request.features
    rows: Rows = np.frombuffer(features.raw, np.float32).reshape(features.rows, features.columns)
    if not np.isfinite(rows).all():
        raise ValueError("not finite")
    return rows


def _encode(request: pb.PredictRequest, values: Rows) -> bytes:
    response = pb.PredictResponse(id=request.id, model=request.model, version=1)
    matrix = response.outputs.add(name="prediction").values
    matrix.rows, matrix.columns = values.shape
    matrix.raw = values.tobytes()
    return response.SerializeToString()


async def _serve_aio(shape: str, run: Callable[[Rows], Rows]) -> None:
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(1)
    waiting: list[tuple[Rows, asyncio.Future[Rows]]] = []

    def run_together() -> None:
        batch = waiting.copy()
        waiting.clear()
        values = run(np.concatenate([rows for rows, _ in batch]))
        start = 0
        for rows, future in batch:
            if not future.done():
                future.set_result(values[start : start + len(rows)])
            start += len(rows)

    async def submit(rows: Rows) -> Rows:
        if shape == "inline":
            return run(rows)
        if shape == "thread":
            return await loop.run_in_executor(executor, run, rows)
        if not waiting:
            loop.call_soon(run_together)
        future: asyncio.Future[Rows] = loop.create_future()
        waiting.append((rows, future))
        return await future

    async def answer(request: pb.PredictRequest, _context: Any) -> bytes:
        return _encode(request, await submit(_decode(request)))

    server = grpc.aio.server(handlers=[_Handler(answer)])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


class _Leader:
    """Batches the rows of many threads: the thread that finds the session free runs all waiting rows."""

    def __init__(self, run: Callable[[Rows], Rows]) -> None:
        self._run = run
        self._session = threading.Lock()
        self._waiting: deque[tuple[Rows, list[Rows]]] = deque()

    def submit(self, rows: Rows) -> Rows:
        """The answer to these rows."""
        answer: list[Rows] = []
        self._waiting.append((rows, answer))
        while not answer:
            with self._session:
                if not answer:
                    self._run_together()
        return answer[0]

    def _run_together(self) -> None:
        batch: list[tuple[Rows, list[Rows]]] = []
        while self._waiting and len(batch) < _MOST_ROWS:
            batch.append(self._waiting.popleft())
        values = self._run(np.concatenate([rows for rows, _ in batch]))
        start = 0
        for rows, answer in batch:
            answer.append(values[start : start + len(rows)])
            start += len(rows)


if __name__ == "__main__":
    main()

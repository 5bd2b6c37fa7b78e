"""A bare grpcio server that answers every call with the same bytes: no Python gRPC server is cheaper.

``python -m benchmarks.serving.echo_server sync|aio BYTES`` prints its port and serves until it is killed.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio


def main() -> None:
    """Serve."""
    kind, length = sys.argv[1], int(sys.argv[2])
    answer = bytes(length)
    if kind == "sync":
        _serve_sync(answer)
    else:
        import uvloop

        uvloop.run(_serve_aio(answer))


class _Echo(grpc.GenericRpcHandler):
    def __init__(self, answer: Any) -> None:
        self._handler: Any = grpc.unary_unary_rpc_method_handler(answer)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ARG002
        return self._handler


def _serve_sync(answer: bytes) -> None:
    server = grpc.server(ThreadPoolExecutor(8), handlers=[_Echo(lambda _request, _context: answer)])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


async def _serve_aio(answer: bytes) -> None:
    async def echo(_request: bytes, _context: Any) -> bytes:
        return answer

    server = grpc.aio.server(handlers=[_Echo(echo)])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    main()

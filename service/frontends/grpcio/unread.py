"""Ends calls of grpc.aio whose callers do not read the answer: gRPC has no way to cancel a call that it has answered.

Their connections are closed. There is a way to cancel such a call alone: gRPC's core does so once nobody refers to it,
so one may cancel both tasks that grpc.aio has for it. Tried with grpcio 1.85, that frees the answer of a caller who
reads its connection and not this call. It frees nothing where the caller does not read its connection either, and it
rests on what grpc.aio tells nobody.
"""

import asyncio

from service.frontends.connections import Connections
from service.rpc.admission import Held

# A connection that takes no more bytes is looked at so often.
_LOOK_SECONDS = 0.05


class Unread:
    """Calls that are answered and not read. Lives on one event loop.

    Args:
        connections: Those of this process.
    """

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._leaving: dict[Held, str] = {}

    def end(self, task: "asyncio.Task[object]", peer: str) -> None:
        """End a call, and all others of its connection.

        Args:
            task: Which ran its handler.
            peer: Of its connection, as gRPC names it.
        """
        task.cancel()  # first, or gRPC logs a traceback
        self._connections.close(peer)

    def leave(self, held: Held, peer: str) -> None:
        """A call is over for gRPC, which may have written its answer into a connection that nobody reads.

        Its place ends once the connection takes more bytes, or ends.
        """
        if held.evicted or not self._connections.is_backlogged(peer):
            held.close()
            return
        if not self._leaving:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)
        self._leaving[held] = peer

    def _look(self) -> None:
        for held, peer in list(self._leaving.items()):
            if held.evicted or not self._connections.is_backlogged(peer):
                del self._leaving[held]
                held.close()
        if self._leaving:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

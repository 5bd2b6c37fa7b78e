"""The line between kan-serve and the server inside Envoy."""

import asyncio
import socket

from service.control import Control


def test_messages_come_whole_and_in_order() -> None:
    """Long ones too: the line that says ready names every model. After them the other end's hanging up."""

    async def check() -> None:
        ours, theirs = [await Control.on_socket(end) for end in socket.socketpair()]
        theirs.send(ready="x" * 1_000_000)
        theirs.send(stopped=True)
        theirs.close()
        theirs.send(failed="sent to nobody")
        assert [message async for message in ours.messages()] == [{"ready": "x" * 1_000_000}, {"stopped": True}]
        ours.close()

    asyncio.run(check())

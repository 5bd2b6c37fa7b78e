"""The line between kan-serve and the server inside Envoy."""

import asyncio
import socket

from service.frontends.envoy.control import BlockingControl, Control


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


def test_the_end_that_blocks() -> None:
    """It understands the other one, and is understood; orders end when the other end hangs up."""

    async def check() -> None:
        ours, theirs = socket.socketpair()
        control, blocking = await Control.on_socket(ours), BlockingControl(theirs)
        blocking.send(ready="x" * 100)
        assert await anext(control.messages()) == {"ready": "x" * 100}
        control.send(port=1)
        control.send(stop=2.5)
        control.close()
        assert await asyncio.to_thread(lambda: list(blocking.messages())) == [{"port": 1}, {"stop": 2.5}]
        blocking.send(stopped=True)
        theirs.close()

    asyncio.run(check())

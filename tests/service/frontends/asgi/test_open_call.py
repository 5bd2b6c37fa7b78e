"""A gRPC call as an ASGI scope."""

import asyncio
import base64
from typing import Any

from service.frontends.asgi.open_call import OpenCall
from service.frontends.envoy import call_headers, message_header


def test_metadata_is_what_grpc_itself_would_give() -> None:
    """Text as it is, binary values decoded with or without padding; nothing broken or of the transport's own."""
    nobody: Any = None
    binary = bytes(range(7))
    headers = {
        b"content-type": b"application/grpc",
        b"te": b"trailers",
        b"grpc-timeout": b"1S",
        b"x-request-id": b"a b",
        b"padded-bin": base64.b64encode(binary),
        b"broken-bin": b"A",
        b"host": b"localhost",
        message_header.HEADER: b"AAAA",
        call_headers.TIMEOUT: b"1S",
        b"bare-bin": base64.b64encode(binary).rstrip(b"="),
    }

    async def check() -> None:
        call = OpenCall(nobody, nobody, nobody, None, "identity", headers, nobody)
        assert dict(call.metadata()) == {"x-request-id": "a b", "padded-bin": binary, "bare-bin": binary}

    asyncio.run(check())

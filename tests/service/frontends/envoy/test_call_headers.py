"""The headers of a call behind Envoy."""

import base64

from service.frontends.envoy import call_headers, message_header


def test_metadata_is_what_grpc_itself_would_give() -> None:
    """Text as it is, binary values decoded with or without padding; nothing broken or of the transport's own."""
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
        call_headers.SUBJECT: b"CN=caller",
        b"bare-bin": base64.b64encode(binary).rstrip(b"="),
    }

    assert dict(call_headers.metadata_in(headers)) == {
        "x-request-id": "a b",
        "padded-bin": binary,
        "bare-bin": binary,
    }

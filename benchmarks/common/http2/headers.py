"""The headers of a call, in HPACK (RFC 7541)."""

from benchmarks.common.http2.security import Security


def header_blocks(path: str, authority: str, security: Security) -> tuple[bytes, bytes]:
    """The headers of the first call, which the server stores in its table, and of later calls, which refer to them.

    A token is written out in each call, since grpc's clients in C++ and Python put no metadata into the table.
    """
    methods = b"\x83\x86" if security.ca is None else b"\x83\x87"  # :method POST and :scheme of the static table
    fields = [
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "kan-benchmark"),
        ("grpc-accept-encoding", "identity, deflate, gzip"),
        ("grpc-timeout", "10M"),  # a stream lasts as long as the load
    ]
    stored = b"".join(b"\x40" + _text(name) + _text(value) for name, value in fields)
    written_out = b"".join(b"\x00" + _text(name) + _text(value) for name, value in security.metadata)
    # The newest entry of the table is number 62.
    indices = bytes(0x80 | 62 + age for age in reversed(range(len(fields))))
    return methods + stored + written_out, methods + indices + written_out


def _text(text: str) -> bytes:
    """A string of at most 126 bytes, not compressed."""
    return bytes([len(text)]) + text.encode()

import gzip
import tracemalloc
import zlib
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.frontends.asgi.framing import Deframer, accepted_encoding, frame, status_headers, timeout_seconds
from service.rpc.status import Code, RpcError, Unreadable


def _code(error: "pytest.ExceptionInfo[RpcError]") -> str:
    return error.value.code.name


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 30)), st.sampled_from(["identity", "gzip", "deflate"]))
def test_messages_come_out_as_they_went_in(messages: list[bytes], cuts: list[int], encoding: str) -> None:
    """A body may be cut into any pieces: the same messages come out, compressed or not."""
    body = b"".join(frame(message * 20, encoding) for message in messages)
    deframer = Deframer(10_000, encoding)
    found: list[bytes] = []
    for size in [*cuts, len(body)]:
        found += deframer.feed(body[:size])
        body = body[size:]
    assert found == [message * 20 for message in messages]
    assert deframer.empty


def test_a_frame_is_prefix_and_message() -> None:
    """One byte for compression and four for the length, as PROTOCOL-HTTP2.md says."""
    assert frame(b"abc") == b"\0\0\0\0\3abc"
    assert frame(b"abc", "gzip") == b"\0\0\0\0\3abc"  # shorter as it is
    packed = frame(bytes(1000), "gzip")
    assert packed[0] == 1
    assert gzip.decompress(packed[5:]) == bytes(1000)


@pytest.mark.parametrize("piece_bytes", [1, 10, 1000])
def test_small_pieces_cost_what_large_ones_do(piece_bytes: int) -> None:
    """Memory that is taken while a message comes in pieces, copies included, is a few times the message.

    A buffer that is copied for each piece would take the message's length times half the number of pieces.
    """
    message = bytes(10_000)
    body = frame(message)
    deframer = Deframer(len(message))
    taken_bytes = 0
    found: list[bytes] = []
    tracemalloc.start()
    try:
        for start in range(0, len(body), piece_bytes):
            piece = body[start : start + piece_bytes]
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            found += deframer.feed(piece)
            taken_bytes += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert found == [message]
    # What the calls themselves take, 64 bytes a piece of it, is no copy.
    assert taken_bytes < 10 * len(message) + 64 * (len(body) // piece_bytes)


def test_what_is_held_is_what_came() -> None:
    """A length that is announced takes no memory, only bytes that are there."""
    deframer = Deframer(2**24)
    assert deframer.feed(b"\0\0\xff\xff\xff" + b"x" * 100) == []
    assert deframer.held_bytes == 105
    assert not deframer.empty


def test_a_long_message_is_refused_before_it_is_here() -> None:
    """The length in the prefix is enough."""
    deframer = Deframer(10)
    assert deframer.feed(b"\0\0\0\0\x0b") == []
    with pytest.raises(RpcError, match="larger than max") as caught:
        deframer.check()
    assert _code(caught) == "RESOURCE_EXHAUSTED"


@given(
    st.lists(st.binary(max_size=10)),
    st.integers(1, 40),
    st.sampled_from([b"\0\0\0\0\x0b", b"\1\0\0\0\1x"]),
)
def test_messages_before_a_fault_come_out(messages: list[bytes], size: int, fault: bytes) -> None:
    """Whatever the pieces are: all of them, and none after it, before a check raises."""
    body = b"".join(map(frame, messages)) + fault
    deframer = Deframer(10)
    found: list[bytes] = []
    for start in range(0, len(body), size):
        deframer.check()
        found += deframer.feed(body[start : start + size])
    assert found == messages
    with pytest.raises(Unreadable):
        deframer.check()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused(encoding: str) -> None:
    """A few bytes that stand for many are not unpacked beyond the bound."""
    deframer = Deframer(2**20, encoding)
    assert deframer.feed(frame(bytes(2**27), encoding)) == []
    with pytest.raises(RpcError, match="larger than max") as caught:
        deframer.check()
    assert _code(caught) == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    ("encoding", "message", "code", "text"),
    [
        ("gzip", b"no gzip at all", "INVALID_ARGUMENT", "a message is no gzip"),
        ("deflate", b"", "INVALID_ARGUMENT", "deflate is cut short"),
        ("gzip", gzip.compress(bytes(1000), mtime=0)[:-9], "INVALID_ARGUMENT", "gzip is cut short"),
        ("snappy", b"x", "UNIMPLEMENTED", "'snappy'"),
        ("identity", b"x", "UNIMPLEMENTED", "'identity'"),
    ],
)
def test_what_does_not_decompress(encoding: str, message: bytes, code: str, text: str) -> None:
    """A compressed message that cannot be read has its code, and says why."""
    deframer = Deframer(10_000, encoding)
    assert deframer.feed(b"\1" + len(message).to_bytes(4, "big") + message) == []
    with pytest.raises(RpcError) as caught:
        deframer.check()
    assert _code(caught) == code
    assert text in caught.value.message


def test_deflate_is_zlib() -> None:
    """What gRPC calls deflate is the zlib format."""
    assert zlib.decompress(frame(bytes(1000), "deflate")[5:]) == bytes(1000)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"250m", 0.25), (b"5u", 5e-6), (b"7n", 7e-9), (b"99999999H", 3.6e11)],
)
def test_timeouts(value: bytes, seconds: float) -> None:
    """Digits and a unit."""
    assert timeout_seconds(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"S", b"1", b"1s", b"-1S", b"1.5S", b"123456789S", b"\xffS"])
def test_timeouts_that_say_nothing(value: bytes) -> None:
    """Any other text is an error of the caller."""
    with pytest.raises(RpcError, match="grpc-timeout is") as caught:
        timeout_seconds(value)
    assert _code(caught) == "INVALID_ARGUMENT"


@given(st.text())
def test_a_message_in_a_header(message: str) -> None:
    """Any text becomes printable ASCII, and comes back by percent-decoding."""
    headers = dict(status_headers(RpcError(Code.NOT_FOUND, message, retry_after_seconds=0.25)))
    assert headers[b"grpc-status"] == b"5"
    assert headers[b"grpc-retry-pushback-ms"] == b"250"
    told = headers[b"grpc-message"].decode("ascii")
    assert all(0x20 <= ord(character) <= 0x7E for character in told)
    assert unquote(told) == message.encode(errors="replace").decode()


def test_the_compression_that_both_know() -> None:
    """The compression of the setting if the caller accepts it; otherwise none."""
    assert accepted_encoding(b"identity, deflate, gzip", ["gzip"]) == "gzip"
    assert accepted_encoding(b"identity,deflate", ["gzip"]) == "identity"
    assert accepted_encoding(b"", ["gzip"]) == "identity"

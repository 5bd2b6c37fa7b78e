"""What Envoy is told of the tokens. How its filter decides is held in tests/service/conformance/test_held_bodies.py."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from service.access.token_file import Token
from service.frontends.envoy import token_gate


def test_hashes_are_written_with_their_ends(tmp_path: Path) -> None:
    """One line a token, which replaces the lines before; a token without an end outlives everybody."""
    first, second = (hashlib.sha256(each).digest() for each in (b"first", b"second"))
    token_gate.write_tokens(tmp_path, [Token("gone", second)])
    token_gate.write_tokens(
        tmp_path, [Token("a", first), Token("b", second, expires=datetime(2027, 1, 31, tzinfo=UTC))]
    )
    (file,) = tmp_path.iterdir()
    (hash_a, end_a), (hash_b, end_b) = (line.split() for line in file.read_text().splitlines())
    assert (hash_a, hash_b, int(end_b)) == (first.hex(), second.hex(), 1801353600)
    assert int(end_a) > datetime.max.replace(tzinfo=UTC).timestamp()


def test_a_token_of_any_end_is_written(tmp_path: Path) -> None:
    """The first moment that a token file can name, which is before 1970, and the last."""
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    token_gate.write_tokens(tmp_path, [Token(str(end.year), bytes(32), expires=end) for end in ends])
    (file,) = tmp_path.iterdir()
    first, last = (line.split()[1] for line in file.read_text().splitlines())
    assert first == "0"
    assert int(last) > 2e11

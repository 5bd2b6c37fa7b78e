"""The caller of a request, and their rights."""

import hmac
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.access.authorizer import Authorizer, Caller
from service.access.token_file import MOST_TOKEN_BYTES
from service.errors import Forbidden, QuotaExceeded, Unauthenticated
from tests.kit.callers.tokens import WriteTokens, bearer, secret, sha256

_PREDICT, _LIST, _LOAD = "/a.Service/Predict", "/a.Service/ListModels", "/b.Service/RepositoryModelLoad"
_PATHS = (_PREDICT, _LIST, _LOAD)


def test_a_token_is_found_by_its_hash(tokens: WriteTokens) -> None:
    """A call with a token of the file is that token's, whatever the case of the scheme."""
    authorizer = Authorizer(tokens(alice="", bob=""), _PATHS)
    assert authorizer.token(bearer("bob")).name == "bob"
    assert authorizer.token([("authorization", f"bearer  {secret('alice')} ")]).name == "alice"
    assert authorizer.token([("authorization", f"BEARER {secret('alice')}".encode())]).name == "alice"


def test_all_tokens_are_compared_in_constant_time(tokens: WriteTokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever token is right, and if none is, hmac.compare_digest compares the call's hash with that of each."""
    compared: list[tuple[bytes, bytes]] = []
    compare_digest = hmac.compare_digest

    def note(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare_digest(one, other)

    authorizer = Authorizer(tokens(alice="", bob="", carol=""), _PATHS)
    monkeypatch.setattr(hmac, "compare_digest", note)
    for name in ("alice", "carol", "eve"):
        with suppress(Unauthenticated):
            assert authorizer.token(bearer(name)).name == name
        hashes = [bytes.fromhex(sha256(secret(each))) for each in ("alice", "bob", "carol")]
        assert compared == [(each, bytes.fromhex(sha256(secret(name)))) for each in hashes]
        compared.clear()


@pytest.mark.parametrize(
    ("metadata", "word"),
    [
        ([], "has no token; send the metadata 'authorization: Bearer TOKEN'"),
        ([("authorization", "")], "no bearer token"),
        ([("authorization", "Basic c2VjcmV0")], "no bearer token"),
        ([("authorization", "Bearer")], "no bearer token"),
        ([("authorization", "Bearer ")], "unknown"),
        ([("authorization", "Bearer secret-eve")], "unknown"),
        ([("authorization", "Bearer secret-alic")], "unknown"),
        ([("authorization", "Bearer " + "é" * 5000)], "unknown"),
        *(([("authorization", f"Bearer secret-alice{each}")], "unknown") for each in "\xa0\x85\x1c\x1d\x1e\x1f\n\v"),
        ([("authorization", b"Bearer secret-alice\xa0")], "unknown"),
        ([*bearer("alice"), *bearer("alice")], "2 times"),
    ],
)
def test_other_metadata_is_refused(tokens: WriteTokens, metadata: list[tuple[str, str]], word: str) -> None:
    """Without a token of the file a call is unauthenticated; the message says what to send and quotes no token."""
    with pytest.raises(Unauthenticated, match=word) as caught:
        Authorizer(tokens(alice=""), _PATHS).token(metadata)
    assert "secret" not in str(caught.value)


def test_a_token_has_a_bounded_length(tmp_path: Path) -> None:
    """A token of 4096 bytes is known; a longer one is not, although the file has its hash."""
    fits = "x" * MOST_TOKEN_BYTES
    file = tmp_path / "tokens.toml"
    file.write_text("".join(f'[tokens.t{len(each)}]\nsha256 = "{sha256(each)}"\n' for each in (fits, f"{fits}x")))
    authorizer = Authorizer(file, _PATHS)
    assert authorizer.token([("authorization", f"Bearer {fits}")]).name == f"t{MOST_TOKEN_BYTES}"
    with pytest.raises(Unauthenticated, match="unknown"):
        authorizer.token([("authorization", f"Bearer {fits}x")])


def test_tokens_are_told_no_later_than_they_are_valid(tokens: WriteTokens) -> None:
    """A listener gets the tokens at once; a change beside those of before, then alone; a broken file is no change."""
    authorizer = Authorizer(tokens(alice=""), _PATHS)
    told: list[tuple[list[str], int]] = []
    authorizer.tell_tokens(lambda found: told.append(([each.name for each in found], len(authorizer.valid()))))
    file = tokens(alice="", bob="")
    for text in (file.read_text(), "[tokens"):
        file.write_text(text)
        authorizer.file.look()
        authorizer.file.look()
    assert told == [(["alice"], 1), (["alice", "alice", "bob"], 1), (["alice", "bob"], 2)]


def test_a_change_that_cannot_be_told_is_not_taken(tokens: WriteTokens) -> None:
    """The tokens of before stay valid, and the change is taken once it can be told."""
    authorizer = Authorizer(tokens(alice=""), _PATHS)
    is_full = False

    def tell(_: object) -> None:
        if is_full:
            raise OSError("no space left")

    authorizer.tell_tokens(tell)
    tokens(bob="")
    for name, is_current in (("alice", False), ("bob", True)):
        is_full = not is_current
        authorizer.file.look()
        authorizer.file.look()
        assert authorizer.token(bearer(name)).name == name
        assert authorizer.file.is_current == is_current


def test_a_token_expires_at_its_moment(tokens: WriteTokens) -> None:
    """A token is good until its moment, and refused from then on."""
    now = datetime(2027, 1, 30, 23, 59, 59, tzinfo=UTC)
    authorizer = Authorizer(tokens(alice="expires = 2027-01-31"), _PATHS, now=lambda: now)
    token = authorizer.token(bearer("alice"))
    authorizer.check(token, _PREDICT)
    now = datetime(2027, 1, 31, tzinfo=UTC)
    with pytest.raises(Unauthenticated, match="'alice' has expired"):
        authorizer.check(token, _PREDICT)
    with pytest.raises(Unauthenticated, match="'alice' has expired"):
        authorizer.renewed(token, _PREDICT)


def test_rights_are_the_tokens(tokens: WriteTokens) -> None:
    """Methods and models that are not among the token's are forbidden; a foreign model is not told to exist."""
    file = tokens(alice='methods = ["Predict"]\nmodels = ["wine"]\nrows_per_second = 10')
    authorizer = Authorizer(file, _PATHS)
    with pytest.raises(Forbidden, match=r"'alice' may not call /a\.Service/ListModels"):
        authorizer.check(authorizer.token(bearer("alice")), _LIST)
    caller = Caller("peer", "", authorizer.token(bearer("alice")), authorizer)
    caller.check_model("wine")
    with pytest.raises(Forbidden, match="may not use model 'digits'; it may use wine"):
        caller.check_model("digits")
    caller.take_rows(10)
    with pytest.raises(QuotaExceeded):
        caller.take_rows(1)


def test_without_a_token_file_everything_is_allowed() -> None:
    """A caller of a server without tokens may do everything."""
    caller = Caller("peer")
    caller.check_model("digits")
    caller.take_rows(10**9)
    assert caller.renewed(_PREDICT) is caller
    assert caller.name == ""


def test_a_call_that_goes_on_has_the_rights_of_now(tokens: WriteTokens) -> None:
    """A stream whose token lost a right, or was taken away, loses it too; other changes leave it alone."""
    file = tokens(alice="", bob="")
    authorizer = Authorizer(file, _PATHS)
    caller = Caller("peer", "", authorizer.token(bearer("alice")), authorizer)
    assert caller.renewed(_PREDICT) is caller
    _change(authorizer, tokens, alice='models = ["wine"]')
    caller = caller.renewed(_PREDICT)
    assert not caller.may_use("digits")
    _change(authorizer, tokens, alice='methods = ["ListModels"]')
    with pytest.raises(Forbidden):
        caller.renewed(_PREDICT)
    _change(authorizer, tokens, bob="")
    with pytest.raises(Unauthenticated, match="'alice' was taken away"):
        caller.renewed(_PREDICT)


def _change(authorizer: Authorizer, tokens: WriteTokens, **tables: str) -> None:
    tokens(**tables)
    authorizer.file.look()
    authorizer.file.look()

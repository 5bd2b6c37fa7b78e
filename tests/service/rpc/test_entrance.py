"""Where calls enter: the caller of a call, whether it is let in or not."""

from pathlib import Path

import pytest

from service.access.authorizer import Authorizer
from service.errors import Forbidden, Unauthenticated
from service.rpc.entrance import Entrance
from service.rpc.request import RequestContext
from tests.kit.callers.tokens import bearer, write_tokens

_PREDICT, _LIST = "/a.Service/Predict", "/a.Service/ListModels"


@pytest.fixture
def entrance(tmp_path: Path) -> Entrance:
    """Lets "alice" call one method; "old" has expired."""
    tables = {"alice": 'methods = ["Predict"]', "old": "expires = 2020-01-31"}
    return Entrance(Authorizer(write_tokens(tmp_path / "tokens.toml", **tables), (_PREDICT, _LIST)))


def test_a_call_that_is_let_in_has_its_caller(entrance: Entrance) -> None:
    """The token's, whose rights hold from then on."""
    call = RequestContext(metadata=lambda: bearer("alice"))
    entrance.authorize(call, _PREDICT)
    assert call.caller.name == "alice"
    assert call.caller.renewed(_PREDICT) is call.caller


def test_a_refused_call_has_the_name_of_a_known_token(entrance: Entrance) -> None:
    """For the access log: with a method that is not the token's, and after the token's end. An unknown one has none."""
    call = RequestContext(metadata=lambda: bearer("alice"))
    with pytest.raises(Forbidden):
        entrance.authorize(call, _LIST)
    assert call.caller.name == "alice"
    for token, name in (("old", "old"), ("eve", "")):
        call = RequestContext()
        with pytest.raises(Unauthenticated):
            entrance.authorize(call, _PREDICT, bearer(token))
        assert call.caller.name == name

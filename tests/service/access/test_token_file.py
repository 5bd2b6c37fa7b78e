"""The token file: what it says, and what is wrong with it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from service.access.token_file import Token, parse_tokens
from service.errors import StartupError
from tests.kit.callers.tokens import sha256

_PATHS = (
    *("/a.Service/Predict", "/a.Service/GetModel"),
    *("/b.Service/RepositoryModelLoad", "/b.Service/RepositoryIndex"),
)
_SHA = f'sha256 = "{sha256("x")}"'


def _parse(lines: str, name: str = "one") -> Token:
    return parse_tokens(f"[tokens.{name}]\n{lines}".encode(), _PATHS)[0]


def test_a_token_without_limits_may_do_all_but_load() -> None:
    """By default a token may use every model and every method, except those that load and unload models."""
    token = _parse(_SHA)
    assert token.may_use("any")
    assert [token.may_call(path) for path in _PATHS] == [True, True, False, True]
    assert (token.rows_per_second, token.expires) == (None, None)


def test_patterns_name_models_and_methods() -> None:
    """Models and methods are patterns; a method's may name the service or not, and "*" is all of them."""
    token = _parse(f'{_SHA}\nmodels = ["fraud-*", "wine"]\nmethods = ["Predict", "b.Service/*"]')
    assert [token.may_use(name) for name in ("fraud-1", "wine", "wine2", "Fraud-1", "")] == [True, True] + [False] * 3
    assert [token.may_call(path) for path in _PATHS] == [True, False, False, True]
    assert all(_parse(f'{_SHA}\nmethods = ["*"]').may_call(path) for path in _PATHS)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("*", True),
        ("RepositoryModelLoad", True),
        ("b.Service/RepositoryModelLoad", True),
        ("*/RepositoryModelLoad", True),
        ("b.Service/*", False),
        ("*/*", False),
        ("Repository*", False),
    ],
)
def test_what_loads_models_must_be_named(pattern: str, wanted: bool) -> None:
    """A pattern for a whole service gives no right to take models away from everybody; "*" alone does."""
    assert _parse(f'{_SHA}\nmethods = ["{pattern}"]').may_call("/b.Service/RepositoryModelLoad") is wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ('"2027-01-31"', datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:00:00", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31T12:00:00+02:00", datetime(2027, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_a_token_expires(given: str, wanted: datetime) -> None:
    """`expires` is a date, whose token ends as it begins, or a time; without a zone it is UTC."""
    assert _parse(f"{_SHA}\nexpires = {given}").expires == wanted


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "at least one"),
        ("[tokens]", "at least one"),
        ("tokens = 3", "at least one"),
        (f"[tokens.a]\n{_SHA}\n[other]", "nothing else"),
        ("[tokens.a", "no TOML"),
        ("a = " + "[" * 100_000, "no TOML"),
        ("\xff", "no TOML"),
        (f"[tokens.a]\n{_SHA}\nrows_per_second = {'9' * 5000}", "no TOML"),
        ("[tokens.a]", "'a': sha256"),
        ('[tokens.a]\nsha256 = "abc"', "'a': sha256"),
        (f"[tokens.a]\n{_SHA}\nmodel = []", "unknown key 'model'"),
        (f"[tokens.a]\n{_SHA}\nmodels = []", "'a': models"),
        (f'[tokens.a]\n{_SHA}\nmodels = "x"', "'a': models"),
        (f"[tokens.a]\n{_SHA}\nmodels = [3]", "'a': models"),
        (f'[tokens.a]\n{_SHA}\nmethods = ["Predikt"]', "'Predikt'"),
        (f'[tokens.a]\n{_SHA}\nmethods = ["RepositoryModelL*"]', "allows no method"),
        (f"[tokens.a]\n{_SHA}\nrows_per_second = 0", "rows_per_second"),
        (f"[tokens.a]\n{_SHA}\nrows_per_second = nan", "rows_per_second"),
        (f"[tokens.a]\n{_SHA}\nrows_per_second = true", "rows_per_second"),
        (f'[tokens.a]\n{_SHA}\nexpires = "soon"', "expires"),
        (f"[tokens.a]\n{_SHA}\nexpires = 3", "expires"),
        (f'[tokens."a b"]\n{_SHA}', "token name"),
        (f"[tokens.a]\n{_SHA}\n[tokens.b]\n{_SHA}", "same sha256"),
        ("[tokens]\n" + "".join(f"a{each} = {{}}\n" for each in range(1001)), "at most 1000"),
        ("[tokens]\na = 3", "no table"),
    ],
)
def test_a_mistake_is_named(text: str, word: str) -> None:
    """An invalid file is refused with the place of the mistake, and never quotes the hash."""
    with pytest.raises(StartupError, match=word) as caught:
        parse_tokens(text.encode("latin-1"), _PATHS)
    assert sha256("x") not in str(caught.value)

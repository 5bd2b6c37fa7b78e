"""The quotas of tokens; their bucket is tested in tests/service/quota/test_bucket.py."""

import gc

import pytest

from service.access.quota import TokenQuotas
from service.access.token_file import Token
from service.errors import QuotaExceeded
from service.quota.quotas import Quotas
from tests.kit.clock import Clock


def test_quotas_belong_to_tokens() -> None:
    """Each token has its own bucket, which a reload keeps."""
    clock = Clock()
    quotas = TokenQuotas(Quotas(clock=clock))
    one, two, free = Token("one", b"1", rows_per_second=10), Token("two", b"2", rows_per_second=10), Token("free", b"3")
    quotas.take(one, 10)
    quotas.take(two, 10)
    quotas.take(free, 10**9)
    quotas.keep({"one", "two"})
    with pytest.raises(QuotaExceeded, match=r"'one' may send 10 rows a second; send it again after 0.1 s") as caught:
        quotas.take(one, 1)
    assert caught.value.retry_after_seconds == pytest.approx(0.1)
    quotas.keep({"two"})
    del caught  # whose traceback holds the bucket
    gc.collect()
    quotas.take(one, 1)


def test_another_number_is_another_quota() -> None:
    """A token whose number changed starts with a full quota; the same number again does too."""
    quotas = TokenQuotas(Quotas(clock=Clock()))
    slow, fast = Token("one", b"1", rows_per_second=10), Token("one", b"1", rows_per_second=20)
    for token, rows in ((slow, 10), (fast, 20), (slow, 10)):
        gc.collect()
        quotas.take(token, rows)


def test_rows_are_taken_while_tokens_are_forgotten() -> None:
    """A token that sends its first rows meanwhile, as on the event loop, disturbs nothing and keeps its bucket."""
    quotas = TokenQuotas(Quotas(clock=Clock()))
    one, two = Token("one", b"1", rows_per_second=10), Token("two", b"2", rows_per_second=10)
    quotas.take(one, 10)

    class Names(set[str]):
        """Has rows taken at each question, so that these fall between two steps of `keep`."""

        def __contains__(self, name: object) -> bool:
            quotas.take(two, 10)
            return super().__contains__(name)

    quotas.keep(Names(["one"]))
    for token in (one, two):
        with pytest.raises(QuotaExceeded):
            quotas.take(token, 1)

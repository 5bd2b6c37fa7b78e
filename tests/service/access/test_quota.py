"""The quotas of tokens; their bucket is tested in tests/service/test_quota.py."""

import pytest

from service.access.quota import TokenQuotas
from service.access.token_file import Token
from service.errors import QuotaExceeded
from tests.kit.clock import Clock


def test_quotas_belong_to_tokens() -> None:
    """Each token has its own bucket, which a reload keeps; a process of several has its share."""
    clock = Clock()
    quotas = TokenQuotas(share=0.5, clock=clock)
    one, two, free = Token("one", b"1", rows_per_second=10), Token("two", b"2", rows_per_second=10), Token("free", b"3")
    quotas.take(one, 5)
    quotas.take(two, 5)
    quotas.take(free, 10**9)
    quotas.keep({"one", "two"})
    with pytest.raises(QuotaExceeded, match=r"'one' may send 10 rows a second.*send it again after 0.2 s") as caught:
        quotas.take(one, 1)
    assert caught.value.retry_after_seconds == pytest.approx(0.2)
    quotas.keep({"two"})
    quotas.take(one, 1)

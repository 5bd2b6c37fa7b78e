"""Which certificates may follow those in use."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.access.certificates import certificates_of, in_place_of_files, read_certificates
from service.access.reloaded import LastValid
from service.settings import Settings
from tests.kit.server.certificates import Authority, Pair


class _Files:
    """A certificate and its key where a server looks."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder / "authority")
        self._pair = Pair(folder / "tls.crt", folder / "tls.key")
        self.settings = Settings(tls_cert=str(self._pair.cert), tls_key=str(self._pair.key))

    def put(self, days: int) -> Sequence[bytes]:
        """A certificate that ends in so many days; gives the bytes of both files."""
        issued = self._authority.issue(f"in {days} days", days)
        shutil.copy(issued.cert, self._pair.cert)
        shutil.copy(issued.key, self._pair.key)
        return [self._pair.cert.read_bytes(), self._pair.key.read_bytes()]


@pytest.fixture
def files(tmp_path: Path) -> _Files:
    """Two files, of which there is nothing yet."""
    return _Files(tmp_path)


def test_an_expired_certificate_follows_only_another(files: _Files, caplog: pytest.LogCaptureFixture) -> None:
    """Callers refuse either of two that have expired, so the newer is taken, with a warning; a valid one stays."""
    files.put(-2)
    watched = read_certificates(files.settings)
    assert watched is not None
    for days, is_taken, warnings in ((-1, True, 1), (30, True, 1), (-1, False, 1), (60, True, 1)):
        chain = files.put(days)[0]
        for _ in range(3):
            watched.look()
        assert (watched.value.chain == chain, watched.is_current) == (is_taken, is_taken), days
        assert sum(record.levelname == "WARNING" for record in caplog.records) == warnings
    (error,) = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert "the certificate expired on 20" in error
    assert "the last valid content stays in use" in error


def test_a_worker_that_starts_takes_no_worse_certificate_than_the_others(files: _Files) -> None:
    """They use a valid one, and the file has an expired one: in Python and for Envoy. A newer valid one is taken."""
    valid = files.put(30)
    kept = certificates_of(valid)
    told: list[Sequence[bytes]] = []
    others = LastValid(valid, told.append)
    files.put(-1)
    watched = read_certificates(files.settings, others)
    assert watched is not None
    assert (watched.value, watched.is_current, told) == (kept, False, [])
    assert in_place_of_files(files.settings, kept) is kept
    newer = files.put(60)
    watched = read_certificates(files.settings, others)
    assert watched is not None
    assert (watched.value.chain, watched.is_current, told) == (newer[0], True, [newer])
    assert in_place_of_files(files.settings, kept) is None

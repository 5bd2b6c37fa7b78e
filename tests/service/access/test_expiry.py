"""Warnings in the log of the end of the certificate in use."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.access.certificates import Certificates, read_certificates
from service.access.expiry import NOTICES, Expiry
from service.access.reloaded import ReloadedFiles
from service.settings import Settings
from tests.kit.server.certificates import Authority, Pair


class _Files:
    """A certificate and its key where a server looks."""

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder / "authority")
        self._pair = Pair(folder / "tls.crt", folder / "tls.key")

    def put(self, days: float, since_days: float = 60) -> None:
        """A certificate that ends in so many days, and has been valid for others."""
        issued = self._authority.issue("server", days, since_days=since_days)
        shutil.copy(issued.cert, self._pair.cert)
        shutil.copy(issued.key, self._pair.key)

    def read(self) -> ReloadedFiles[Certificates]:
        """What a server reads."""
        watched = read_certificates(Settings(tls_cert=str(self._pair.cert), tls_key=str(self._pair.key)))
        assert watched is not None
        return watched


@pytest.fixture
def files(tmp_path: Path) -> _Files:
    """Two files, of which there is nothing yet."""
    return _Files(tmp_path)


def _in(**time: float) -> datetime:
    return datetime.now(UTC) + timedelta(**time)


def _warnings(log: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in log.records if record.levelname == "WARNING"]
    log.clear()
    return found


def test_the_log_warns_when_the_alert_fires() -> None:
    """The notices of the log are the limits of the alert KanCertificateExpires."""
    rules = (Path(__file__).parents[3] / "deploy/prometheus/rules/alerts.yaml").read_text()
    rule = r"kan_certificate_expires_timestamp_seconds - time\(\) < (\d+) \* 86400"
    assert {timedelta(days=int(days)) for days in re.findall(rule, rules)} == set(NOTICES)


def test_each_warning_is_logged_once(files: _Files, caplog: pytest.LogCaptureFixture) -> None:
    """14 days before the end, 2 days before and at the end, however often the server looks, and if its clock goes back.

    A new certificate begins anew.
    """
    files.put(30)
    watched = files.read()
    expiry = Expiry(watched)
    told = []
    for days in (0, 15, 17, 17.5, 16.5, 27, 28.5, 28.6, 29.9, 31, 29, 40):
        for _ in range(3):
            expiry.look(_in(days=days))
        told.append(len(_warnings(caplog)))
    assert told == [0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0]
    files.put(90)
    for _ in range(2):
        watched.look()
    expiry.look(_in(days=77))
    assert "in less than 14 days: renew it" in _warnings(caplog)[0]
    expiry.look(_in(days=89))
    assert "in less than 2 days: renew it" in _warnings(caplog)[0]
    expiry.look(_in(days=91))
    assert "expired on 20" in _warnings(caplog)[0]


def test_what_was_told_before_is_not_repeated(files: _Files, caplog: pytest.LogCaptureFixture) -> None:
    """By another worker; or by the start, of a certificate that has expired. Whatever is late is one warning."""
    files.put(1)
    Expiry(files.read()).look()
    assert len(_warnings(caplog)) == 1
    told = Expiry(files.read(), is_told=True)
    told.look()
    assert _warnings(caplog) == []
    told.look(_in(days=2))
    assert len(_warnings(caplog)) == 1
    files.put(-1)
    Expiry(files.read()).look()
    assert _warnings(caplog) == []


def test_a_short_life_has_fewer_notices(files: _Files, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate for 10 days always ends within 14, so that is no warning. One for 3 days has one warning."""
    for since_days, told in ((2, [0, 0, 1, 0, 1]), (-5, [0, 0, 0, 0, 1])):
        files.put(8, since_days)
        expiry = Expiry(files.read())
        found = []
        for days in (5.5, 5.9, 6.1, 7.9, 8.1):
            expiry.look(_in(days=days))
            found.append(len(_warnings(caplog)))
        assert found == told

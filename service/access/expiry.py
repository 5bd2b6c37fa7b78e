"""Warnings before the end of the certificate in use, and at its end. A metric and an alert tell the same."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from service.access.certificates import Certificates, refusal_by_callers
from service.access.reloaded import ReloadedFiles
from service.access.validity import Validity

_log = logging.getLogger(__name__)

# As the alert KanCertificateExpires: its ticket and its page.
NOTICES: Final = (timedelta(days=14), timedelta(days=2))
_LOOK_SECONDS: Final = 1.0


class Expiry:
    """Logs one warning 14 days before the end of the certificate in use, one 2 days before, and one at its end.

    A notice that is longer than half the life of the certificate is left out: such a certificate is renewed later.
    Other code warns of a certificate that has expired before it is taken into use. Each worker logs its own warnings.

    Args:
        certificates: Those in use.
        is_told: Whether another process of this server has logged what is due now.
    """

    def __init__(self, certificates: ReloadedFiles[Certificates], *, is_told: bool = False) -> None:
        self._certificates = certificates
        self._validity = certificates.value.validity
        self._told = self._known(datetime.now(UTC), is_told=is_told)

    async def watch(self) -> None:
        """Look once a second, for as long as it runs."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self, now: datetime | None = None) -> None:
        """Log a warning if one is due that was not logged.

        Args:
            now: The time; None: the present.
        """
        now = now or datetime.now(UTC)
        certificates = self._certificates.value
        if certificates.validity != self._validity:
            self._validity = certificates.validity
            self._told = self._known(now)
        due = _due(self._validity, now)
        if due <= self._told:
            return
        self._told = due
        _log.warning("%s", warning(certificates, now))

    def _known(self, now: datetime, *, is_told: bool = False) -> int:
        """How many of the warnings that are due were logged before the first look at a certificate."""
        return _due(self._validity, now) if is_told or now > self._validity.ends else 0


def warning(certificates: Certificates, now: datetime | None = None) -> str:
    """What a look at this time would warn of; "" for a certificate that is valid for long.

    Args:
        certificates: Those to look at.
        now: The time; None: the present.
    """
    now = now or datetime.now(UTC)
    validity = certificates.validity
    if refusal := refusal_by_callers(certificates, now):
        return refusal
    if not (due := _due(validity, now)):
        return ""
    days = _notices(validity)[due - 1].days
    when = f"on {validity.ends_at()}, in less than {days} days"
    return f"the certificate of the gRPC port ends {when}: renew it (docs/security.md)"


def _due(validity: Validity, now: datetime) -> int:
    """How many warnings are due by now: each notice, and one at the end."""
    left = validity.ends - now
    return sum(left < notice for notice in (*_notices(validity), timedelta()))


def _notices(validity: Validity) -> tuple[timedelta, ...]:
    return tuple(notice for notice in NOTICES if 2 * notice <= validity.ends - validity.begins)

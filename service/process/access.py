"""The rights of callers on one server: its token file and certificates, watched, and its access log."""

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from service.access.access_log import AccessLog
from service.access.authorizer import Authorizer
from service.access.certificates import read_certificates, warn_if_refused
from service.access.expiry import Expiry
from service.access.quota import TokenQuotas
from service.access.reloaded import LastValid, ReloadedFiles
from service.frontends.address import is_public
from service.metrics.metrics import Metrics
from service.rpc.entrance import Entrance
from service.settings import Settings
from service.tracing.head import Head

_log = logging.getLogger(__name__)


class Access:
    """The parts that decide on callers. Lives on one event loop; ends with :meth:`close`.

    Args:
        settings: Name the files.
        paths: The methods of the server.
        metrics: Tell whether the files are in use as they are, and how many lines were lost.
        head: Decides which calls are traced; None if none is.
        quotas: Those of tokens.
        last_valid: Gives what other workers know of the files of a kind.

    Attributes:
        entrance: For the front end.
        certificates: For the front end; None without TLS.

    Raises:
        StartupError: A file cannot be read or written, or is invalid.
    """

    def __init__(
        self,
        settings: Settings,
        paths: Collection[str],
        metrics: Metrics,
        head: Head | None,
        quotas: TokenQuotas,
        last_valid: Callable[[str], LastValid | None] = lambda _: None,
    ) -> None:
        known = last_valid("tokens")
        authorizer = Authorizer(Path(settings.tokens), paths, quotas, known) if settings.tokens else None
        self._log = AccessLog(settings.access_log) if settings.access_log else None
        self.entrance = Entrance(authorizer, self._log, head)
        in_use = last_valid("certificates")
        self.certificates = read_certificates(settings, in_use)
        self._watches: list[asyncio.Task[None]] = []
        if authorizer is not None:
            self._watch("tokens", authorizer.file, metrics)
        if self.certificates is not None:
            self._watch("certificates", self.certificates, metrics)
            metrics.access.watch_certificate(self._certificate_ends)
            is_first = in_use is None or in_use.content is None
            if is_first:
                warn_if_refused(self.certificates.value)
            expiry = Expiry(self.certificates, is_told=not is_first)
            self._watches.append(asyncio.create_task(expiry.watch(), name="watch the end of the certificate"))
        if self._log is not None:
            metrics.access.watch_log(self._log)

    def _watch(self, kind: str, files: "ReloadedFiles[Any]", metrics: Metrics) -> None:
        metrics.access.watch_files(kind, files)
        self._watches.append(asyncio.create_task(files.watch(), name=f"watch {kind}"))

    def _certificate_ends(self) -> float:
        """Unix time."""
        assert self.certificates is not None
        return self.certificates.value.validity.ends.timestamp()

    async def close(self) -> None:
        """Watch no more, and write what the access log still has."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        if self._log is not None:
            self._log.close()  # not in the loop's thread pool, which may be full of calls that hang


def warn_if_open(settings: Settings) -> None:
    """Log one warning where others can reach the gRPC port and TLS or tokens are off."""
    missing = [name for name, value in (("TLS", settings.tls_cert), ("tokens", settings.tokens)) if not value]
    if missing and not settings.insecure_public and is_public(settings.host):
        _log.warning(
            "others can reach %s, and the gRPC port has no %s: set --tls-cert and --tls-key, and --tokens, or "
            "--insecure-public if something else keeps callers out (docs/security.md)",
            settings.host,
            " and no ".join(missing),
        )

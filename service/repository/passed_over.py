"""Log the folders of a repository that are no models: once, and again when the reason changes."""

import logging

_log = logging.getLogger(__name__)


class PassedOver:
    """Remembers the reasons that were logged. Scans use it one after another, in any thread."""

    def __init__(self) -> None:
        self._before: dict[str, str] = {}
        self._found: dict[str, str] = {}

    def note(self, name: str, why: str) -> None:
        """Log a folder that this scan skips, unless that was logged before."""
        logged = self._found.get(name, self._before.get(name))
        self._found[name] = why
        if logged != why:
            _log.error("folder %.200r is passed over: %s", name, why)

    def end_scan(self) -> None:
        """Forget folders that this scan did not find. If one returns, it is logged again."""
        self._before, self._found = self._found, {}

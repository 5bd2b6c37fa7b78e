"""Folders of a repository that are no models: logged once, and again once the reason has changed."""

import logging

_log = logging.getLogger(__name__)


class PassedOver:
    """Remembers what was logged. Used by one look after another, in any thread."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._found: dict[str, str] = {}

    def note(self, name: str, why: str) -> None:
        """Note a folder that this look passes over."""
        told = self._found.get(name, self._told.get(name))
        self._found[name] = why
        if told != why:
            _log.error("folder %.200r is passed over: %s", name, why)

    def end_look(self) -> None:
        """Forget folders that this look did not meet: where one comes back it is logged again."""
        self._told, self._found = self._found, {}

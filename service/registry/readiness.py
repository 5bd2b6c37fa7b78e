"""Whether the server should get requests, and why not."""

from service.registry.entries import Entries
from service.registry.scanning.watcher import Watcher
from service.registry.version_status import State


class Readiness:
    """The readiness of one server. Used on one event loop.

    Args:
        entries: The versions that were tried.

    Attributes:
        start_error: The storage error that the start of the server met; "" without one.
        watcher: Scans the repository; None before it starts.
    """

    def __init__(self, entries: Entries) -> None:
        self.start_error = ""
        self.watcher: Watcher | None = None
        self._entries = entries

    def ready(self) -> bool:
        """Whether the server should get requests."""
        return not self.unready_reason()

    def unready_reason(self) -> str:
        """Why the server should get no requests; "" if it should.

        A refused model does not make the server unready. A broken batcher does, because only a restart helps.
        """
        if self._entries.draining:
            return "draining"
        if not self._entries.complete:
            return self.start_error or "models are loading"
        if self.watcher is not None and not self.watcher.alive:
            return "the repository is not scanned any more; restart the server"
        served = [entry for entry in self._entries if entry.model and entry.state is State.READY]
        for entry in served:
            if reason := entry.unready_reason():
                return f"model {entry.name!r} version {entry.version} does not answer: {reason}"
        is_served = served or any(entry.state is State.COLD for entry in self._entries)
        return "" if is_served else "no model is ready"

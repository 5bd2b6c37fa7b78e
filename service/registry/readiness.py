"""Whether the server and each version should get requests, and why not."""

from service.errors import ModelNotReady, excerpt
from service.registry.agreement import Agreement
from service.registry.entries import Entries
from service.registry.model.live_model import LiveModel
from service.registry.scanning.watcher import Watcher
from service.registry.version_status import State, VersionStatus

_LONGEST_REASON = 512


class Readiness:
    """The readiness of one server and of its versions. Used on one event loop.

    Args:
        entries: The versions that were tried.
        agreement: Tells of other workers; None if this process is the only one.

    Attributes:
        start_error: The storage error that the start of the server met; "" without one.
        watcher: Scans the repository; None before it starts.
    """

    def __init__(self, entries: Entries, agreement: Agreement | None = None) -> None:
        self.start_error = ""
        self.watcher: Watcher | None = None
        self._entries, self._agreement = entries, agreement

    def ready(self) -> bool:
        """Whether the server should get requests."""
        crash_loop = self._agreement is not None and self._agreement.crash_loop
        return not crash_loop and not self.unready_reason()

    def unready_reason(self) -> str:
        """Why this process should get no requests; "" if it should.

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
        if served or any(entry.state is State.COLD for entry in self._entries):
            return ""
        refused = [entry for entry in self._entries if entry.state is State.REFUSED]
        if not refused:
            return "no model is ready"
        first, others = refused[0], f", and {len(refused) - 1} more" if len(refused) > 1 else ""
        reason = excerpt(first.reason, _LONGEST_REASON)
        return f"no model is ready: {first.name} version {first.version} was refused ({reason}){others}"

    def probe(self, name: str, version: int | None = None) -> LiveModel | None:
        """The model of a version that answers; None if it is cold, so that the next call loads it.

        This is no lease, so that probes do not keep models in memory that nobody calls. Use the model in the same turn
        of the event loop.

        Args:
            name: The model.
            version: None for the latest.

        Raises:
            ModelNotFound: There is no such model or version. The message lists the known ones.
            ModelNotReady: It is loading, was refused, or its batcher broke.
        """
        entry = self._entries.find(name, version, complete=self._entries.complete)
        if entry.state is State.COLD:
            return None
        if reason := entry.unready_reason():
            raise ModelNotReady(f"model {name!r} version {entry.version} does not answer: {reason}")
        return entry.model

    def statuses(self, name: str | None = None) -> list[VersionStatus]:
        """The status of every version of a model, or of all models, sorted by name and version."""
        entries = self._entries if name is None else self._entries.of(name).values()
        return [
            VersionStatus(
                name=entry.name,
                version=entry.version,
                state=State.REFUSED if entry.model and entry.unready_reason() else entry.state,
                reason=entry.reason or (entry.unready_reason() if entry.model else ""),
                latest=entry is self._entries.latest(entry.name),
                manifest=entry.manifest,
            )
            for entry in sorted(entries, key=lambda entry: (entry.name, entry.version))
        ]

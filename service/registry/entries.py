"""Every version of every model that was tried: where it stands, who uses it, and which answers where none is named."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import ModelNotFound, ModelNotReady
from service.registry.model.live_model import LiveModel
from service.registry.refusal import Refusal

# Enough to see a slip of the pen, few enough for a status message.
_NAMES_SHOWN = 20


class State(StrEnum):
    """Where a version stands."""

    LOADING = "loading"
    READY = "ready"
    # Superseded, and still answering callers who name its number.
    LINGERING = "lingering"
    REFUSED = "refused"


@dataclass(frozen=True)
class VersionStatus:
    """What is known of one version.

    Attributes:
        reason: Why it does not answer, or why it soon will not; "" where it answers and stays.
        latest: True for the version that answers when none is named.
        manifest: None until it was read and verified.
    """

    name: str
    version: int
    state: State
    reason: str
    latest: bool
    manifest: ModelManifest | None

    @property
    def answers(self) -> bool:
        """Whether requests that name this version are answered."""
        return self.state in (State.READY, State.LINGERING)


@dataclass(eq=False)
class Entry:
    """One version that was tried, and how many use its model now.

    A with block leases the model: it is not closed before the block's end. Only for a version whose `unready_reason`
    is "", asked in the same turn of the event loop. Any number of blocks at once.

    Attributes:
        load: The load that is under way; None where there is none.
        slow: Whether that load has taken so long that nobody waits for it.
        held: Whether a load is pointless before the next look: its files could not be read, or are not there.
        fingerprint: Of its files when they were read last; None where they were not.
        refusal: Why and when it was refused; None where it was not, or where its files have changed since.
        due: Whether it was refused and is worth another try.
        users: How many lease its model.
        unused: Set when the last of them is done.
    """

    name: str
    version: int
    state: State = State.LOADING
    reason: str = ""
    manifest: ModelManifest | None = None
    model: LiveModel | None = None
    load: "asyncio.Task[None] | None" = None
    slow: bool = False
    held: bool = False
    fingerprint: object = None
    refusal: Refusal | None = None
    due: bool = False
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)

    def __enter__(self) -> LiveModel:
        assert self.model is not None
        self.users += 1
        return self.model

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        if not self.users:
            self.unused.set()

    def unready_reason(self) -> str:
        """Why it does not answer; "" where it does."""
        if self.model is None:
            if self.state is State.REFUSED:
                return f"it was refused: {self.reason}"
            return self.reason or "it is loading"
        return "" if self.model.batcher.alive else "its batcher broke"


_NONE: Mapping[int, Entry] = MappingProxyType({})


class Entries:
    """Entries by model and version. Changed on one event loop; iterating is for any thread."""

    def __init__(self) -> None:
        self._by_name: dict[str, dict[int, Entry]] = {}
        self._latest: dict[str, Entry] = {}  # only where one is ready

    def __iter__(self) -> Iterator[Entry]:
        """Each of them, as they are now."""
        return iter([entry for entries in list(self._by_name.values()) for entry in list(entries.values())])

    def names(self) -> list[str]:
        """Models of which a version was tried."""
        return [name for name, entries in self._by_name.items() if entries]

    def of(self, name: str) -> Mapping[int, Entry]:
        """A model's entries, by version."""
        return self._by_name.get(name, _NONE)

    def latest(self, name: str) -> Entry | None:
        """What answers where no version is named."""
        return self._latest.get(name)

    def add(self, name: str, version: int) -> Entry:
        """The entry of a version, made when it is new."""
        entries = self._by_name.setdefault(name, {})
        found = entries.get(version)
        if found is None:
            found = entries[version] = Entry(name, version)
        return found

    def remove(self, entry: Entry) -> None:
        """Forget a version."""
        del self._by_name[entry.name][entry.version]
        self.choose_latest(entry.name)

    def remove_model(self, name: str) -> None:
        """Forget all of a model's versions."""
        self._by_name.pop(name, None)
        self._latest.pop(name, None)

    def choose_latest(self, name: str) -> None:
        """Choose again which version answers where none is named, after one became ready or ceased to be."""
        ready = [version for version, entry in self.of(name).items() if entry.state is State.READY]
        if ready:
            self._latest[name] = self.of(name)[max(ready)]
        else:
            self._latest.pop(name, None)

    def ready(self) -> set[tuple[str, int]]:
        """(name, version) of what answers and stays; not of what lingers."""
        return {(entry.name, entry.version) for entry in self if entry.state is State.READY}

    def find(self, name: str, version: int | None, *, complete: bool) -> Entry:
        """The entry for a request; the newest one, ready or not, where none is named and none is ready.

        Args:
            name: The model.
            version: None for the latest.
            complete: False while models are loading: what is not here may yet come.

        Raises:
            ModelNotFound: There is none; the message lists what is.
            ModelNotReady: There is none yet.
        """
        if version is None and name in self._latest:
            return self._latest[name]
        entries = self.of(name)
        if not entries:
            if not complete:
                # Callers repeat this, and not what is said to be unknown.
                raise ModelNotReady(f"model {shown(name)} does not answer: models are loading")
            raise ModelNotFound(f"model {shown(name)} is unknown; there is {_listed(sorted(self._by_name))}")
        if version is None:
            return entries[max(entries)]
        if version not in entries:
            raise ModelNotFound(f"model {name!r} has no version {version} here; there is {_listed(sorted(entries))}")
        return entries[version]

    def statuses(self) -> list[VersionStatus]:
        """What is known of each, by name and version."""
        return [
            VersionStatus(
                name=entry.name,
                version=entry.version,
                state=State.REFUSED if entry.model and entry.unready_reason() else entry.state,
                reason=entry.reason or (entry.unready_reason() if entry.model else ""),
                latest=entry is self._latest.get(entry.name),
                manifest=entry.manifest,
            )
            for entry in sorted(self, key=lambda entry: (entry.name, entry.version))
        ]


def shown(name: str) -> str:
    """A caller's name, cut to a length that fits a message."""
    return repr(name if len(name) <= 80 else name[:80] + "…")


def _listed(items: list[str] | list[int]) -> str:
    """Names or versions in a message."""
    more = f" and {len(items) - _NAMES_SHOWN} more" if len(items) > _NAMES_SHOWN else ""
    return ", ".join(map(str, items[:_NAMES_SHOWN])) + more if items else "none"

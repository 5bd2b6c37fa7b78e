"""One version of a model in the registry: where it stands, and who uses it."""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from kan_api.v1.manifest_pb2 import ModelManifest
from service.model import LiveModel


class State(StrEnum):
    """Where a version stands."""

    LOADING = "loading"
    READY = "ready"
    REFUSED = "refused"


@dataclass(frozen=True)
class Status:
    """What is known of one version.

    Attributes:
        reason: Why it does not answer; "" where it does.
        latest: True for the version that answers when none is named.
        manifest: None until it was read and verified.
    """

    name: str
    version: int
    state: State
    reason: str
    latest: bool
    manifest: ModelManifest | None


@dataclass(eq=False)
class Entry:
    """One version that was tried, and how many use its model now.

    A with block leases the model: it is not closed before the block's end. Only for a version whose `unready_reason`
    is "", asked in the same turn of the event loop. Any number of blocks at once.
    """

    name: str
    version: int
    state: State = State.LOADING
    reason: str = ""
    manifest: ModelManifest | None = None
    model: LiveModel | None = None
    users: int = 0
    # Of the files that were refused: the same are not tried twice.
    stamp: object = None
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

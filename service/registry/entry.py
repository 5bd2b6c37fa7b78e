"""One version that was tried: its state and its leases."""

import asyncio
from dataclasses import dataclass, field

from kan_api.v1.manifest_pb2 import ModelManifest
from service.registry.model.live_model import LiveModel
from service.registry.refusal import Refusal
from service.registry.version_status import State


@dataclass(eq=False)
class Entry:
    """One version that was tried, with its leases.

    A with block leases the model: the model is not closed before the end of the block. Enter the block only if
    `unready_reason` is "", in the same turn of the event loop. Any number of blocks may be open at once.

    Attributes:
        load: The task that loads it now; None if there is none.
        slow: Whether that load takes so long that the server waits for it no longer.
        digest: Of the bytes that were loaded last, if several workers compare them.
        held: Whether the files could not be read or are absent. Then it is not loaded before the next scan.
        fingerprint: Of its files when they were last read; None before that.
        refusal: Why and when it was refused; None if it was not refused, or if its files have changed since.
        due: Whether it was refused and should be tried again.
        users: Number of leases.
        unused: Set when the last lease ends.
    """

    name: str
    version: int
    state: State = State.LOADING
    reason: str = ""
    manifest: ModelManifest | None = None
    model: LiveModel | None = None
    load: "asyncio.Task[None] | None" = None
    slow: bool = False
    digest: str = ""
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
        """Why it does not answer; "" if it answers."""
        if self.model is None:
            if self.state is State.REFUSED:
                return f"it was refused: {self.reason}"
            return self.reason or "it is loading"
        return "" if self.model.batcher.alive else "its batcher broke"

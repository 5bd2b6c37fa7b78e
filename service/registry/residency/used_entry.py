"""A version that remembers its last use."""

import time

from service.registry.entries import Entry
from service.registry.model.live_model import LiveModel


class UsedEntry(Entry):
    """An Entry that notes the time of each lease. Other servers do not pay for that."""

    def __enter__(self) -> LiveModel:
        self.used_at = time.monotonic()
        return super().__enter__()

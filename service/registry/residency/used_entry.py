"""A version that remembers its last use."""

import time

from service.registry.entries import Entry
from service.registry.model.live_model import LiveModel


class UsedEntry(Entry):
    """An Entry that notes the time of each lease. Servers without bounds do not pay for that."""

    __slots__ = ()

    def __enter__(self) -> LiveModel:
        self.used_at = time.monotonic()
        return super().__enter__()

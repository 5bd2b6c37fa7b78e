"""The quotas in use, by name."""

import threading
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from service.quota.bucket import TokenBucket
from service.quota.levels import Levels


class Quotas:
    """The buckets in use. All that ask for the same name and rate share one; processes share its level by the name.

    Any thread may ask.

    Args:
        kind: What has these quotas, such as "token": one name may stand for a token and for a model.
        levels: Those of all processes that serve the same callers; None if this process is alone.
        clock: Monotonic seconds.
    """

    def __init__(
        self, kind: str = "", levels: Levels | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kind, self._levels = kind, levels
        self._clock = clock
        self._buckets: WeakValueDictionary[tuple[str, float], TokenBucket] = WeakValueDictionary()
        self._lock = threading.Lock()

    def of(self, name: str, rows_per_second: float) -> TokenBucket:
        """The bucket of a name at a rate. If nobody holds it, it is full; with other processes, as these left it."""
        with self._lock:
            bucket = self._buckets.get((name, rows_per_second))
            if bucket is None:
                level = None if self._levels is None else self._levels.of(f"{self._kind} {name}")
                bucket = self._buckets[name, rows_per_second] = TokenBucket(rows_per_second, self._clock, level)
            return bucket

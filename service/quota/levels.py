"""How full buckets are, in a file in memory that the processes of one server share."""

import errno
import fcntl
import math
import os
import struct
import threading
import time
from hashlib import blake2b

# The digest of a name, the rows that are left, and the monotonic time at which they were.
_RECORD = struct.Struct("=16sdd")
_LEVEL = struct.Struct("=dd")
_LEVEL_AT = _RECORD.size - _LEVEL.size
# A lock is held for some microseconds, or for a time slice if its holder gets no processor meanwhile. After this time
# the holder counts as stopped: others go on without the lock, and do not wait for it again for a while.
_WAIT_SECONDS, _PAUSE_SECONDS = 0.02, 1.0
_LOOK_SECONDS = 0.0001
# A name is added once, and two records at one place would be one bucket of two names: that lock is waited for longer.
_LONG_WAIT_SECONDS = 0.2
# A byte that no record has: its lock is that of additions.
_ADDITIONS = 2**60


class Level:
    """How full one bucket is. Read and write it in a with block, which has its lock.

    The lock is the kernel's: it ends with its process. While a process that holds it is stopped, others go on without
    it. Once that process goes on, it may write an old level, and what they took is not counted.
    """

    def __init__(self, descriptor: int, place: int) -> None:
        self._descriptor, self._place = descriptor, place
        self._waits_from = -math.inf  # monotonic seconds

    def __enter__(self) -> None:
        if not _lock(self._descriptor, self._place):
            self._wait()

    def __exit__(self, *_: object) -> None:
        _unlock(self._descriptor, self._place)

    def _wait(self) -> None:
        now = time.monotonic()
        if now >= self._waits_from and not _lock_within(_WAIT_SECONDS, self._descriptor, self._place):
            self._waits_from = now + _PAUSE_SECONDS

    def read(self) -> tuple[float, float]:
        """The rows that were left, and when; infinitely many for a new bucket."""
        rows, at = _LEVEL.unpack(os.pread(self._descriptor, _LEVEL.size, self._place + _LEVEL_AT))
        return rows, at

    def write(self, rows: float, at: float) -> None:
        """Set the rows that are left, and when."""
        os.pwrite(self._descriptor, _LEVEL.pack(rows, at), self._place + _LEVEL_AT)


class Levels:
    """The levels behind a file descriptor, by name. Any thread may use it.

    Args:
        descriptor: Of another Levels, inherited from the parent process; None makes a new file.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = os.memfd_create("kan-serve-quotas") if descriptor is None else descriptor
        self._finding = threading.Lock()  # the kernel's lock is one of processes
        self._places: dict[bytes, int] = {}
        self._read_to = 0

    def of(self, name: str) -> Level:
        """The level of a name. It stays until the last process of the server ends."""
        digest = blake2b(name.encode(), digest_size=16).digest()
        with self._finding:
            if digest not in self._places:
                self._find_or_add(digest)
        return Level(self.descriptor, self._places[digest])

    def close(self) -> None:
        """Give it up in this process, and all locks of it."""
        os.close(self.descriptor)

    def _find_or_add(self, digest: bytes) -> None:
        _lock_within(_LONG_WAIT_SECONDS, self.descriptor, _ADDITIONS)
        try:
            self._read_new()
            if digest not in self._places:
                os.pwrite(self.descriptor, _RECORD.pack(digest, math.inf, 0.0), self._read_to)
                self._read_new()
        finally:
            _unlock(self.descriptor, _ADDITIONS)

    def _read_new(self) -> None:
        """Learn the names that other processes have added."""
        while len(record := os.pread(self.descriptor, _RECORD.size, self._read_to)) == _RECORD.size:
            self._places.setdefault(_RECORD.unpack(record)[0], self._read_to)
            self._read_to += _RECORD.size


def _lock(descriptor: int, place: int) -> bool:
    """Lock one byte, if no other process has."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _lock_within(seconds: float, descriptor: int, place: int) -> bool:
    """Lock one byte, if other processes give it up in time."""
    latest = time.monotonic() + seconds
    while not (is_locked := _lock(descriptor, place)) and time.monotonic() < latest:
        time.sleep(_LOOK_SECONDS)
    return is_locked


def _unlock(descriptor: int, place: int) -> None:
    """Unlock one byte; without effect if this process has not locked it."""
    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, place)

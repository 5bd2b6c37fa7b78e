"""When a refused version is tried again: after its files have changed, or after a pause if resources were short."""

import errno
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from service.errors import ModelRefused
from service.registry.agreement import OTHER_WORKER

# A version is usually repaired soon after its refusal. So its files are checked at every scan for a minute, and where
# more than a few versions are refused only once a minute after that: thousands of them cost little.
_FEW = 4
_YOUNG_SECONDS = 60.0
_REST_SECONDS = 60.0
# By kind of refusal, the first and the longest pause before the same files are tried again. Each failure doubles it.
# A slow load is worth another try, because other loads may have slowed it down; but it may cost as much time again.
# Another worker may load its files again at any time, so a refusal because of it is short.
_PAUSES_SECONDS: Mapping[str, tuple[float, float]] = {
    "resources": (5.0, 300.0),
    "slow": (60.0, 3600.0),
    OTHER_WORKER: (5.0, 60.0),
}
# A random factor up to this one, so that versions that failed together are not tried again together.
_SPREAD = 1.5
# Errors that mean too little memory, threads or open files.
_SHORTAGE_NUMBERS = (errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)
# In lower case. onnxruntime, CUDA and Python's threads report it only as text.
_SHORTAGE_WORDS = (
    "bad_alloc",
    "bad allocation",
    "failed to allocate memory",
    "out of memory",
    "cannot allocate memory",
    "alloc_failed",
    "pthread_create",
    "can't start new thread",
    "resource temporarily unavailable",
)


@dataclass(frozen=True)
class Refusal:
    """The refusal of a version. Times are monotonic seconds.

    Attributes:
        kind: The reason as one word, as in ModelRefused.
        at: Time of the refusal.
        checked_at: Time when its files were last checked.
        fingerprint: Of the files that were refused.
        failures: Number of refusals in a row for a reason that may pass, such as too little memory.
        retry_at: Time when the same files should be tried again; None if the files themselves are wrong.
    """

    kind: str
    at: float
    checked_at: float
    fingerprint: object
    failures: int = 0
    retry_at: float | None = None

    def check_due(self, now: float, refused: int) -> bool:
        """Whether to check now if the files have changed.

        Args:
            now: Monotonic seconds.
            refused: How many versions are refused.
        """
        return refused <= _FEW or now < self.at + _YOUNG_SECONDS or now >= self.checked_at + _REST_SECONDS

    def retry_due(self, now: float) -> bool:
        """Whether to try the same files again now."""
        return self.retry_at is not None and now >= self.retry_at

    def checked(self, now: float) -> "Refusal":
        """The same refusal, after a check that found the files unchanged."""
        return replace(self, checked_at=now)


def refusal(kind: str, now: float, fingerprint: object, before: Refusal | None) -> Refusal:
    """A refusal at this moment.

    Args:
        kind: The reason as one word, as in ModelRefused.
        now: Monotonic seconds.
        fingerprint: Of the files.
        before: The previous refusal of the same files; None if there was none.
    """
    if kind not in _PAUSES_SECONDS:
        return Refusal(kind, now, now, fingerprint)
    failures = 1 + (before.failures if before is not None else 0)
    first_seconds, longest_seconds = _PAUSES_SECONDS[kind]
    pause_seconds = min(longest_seconds, first_seconds * 2.0 ** min(failures - 1, 20)) * random.uniform(1, _SPREAD)
    return Refusal(kind, now, now, fingerprint, failures, now + pause_seconds)


def lacks_resources(error: BaseException) -> bool:
    """Whether the error, or one of its causes, reports too little memory, or too few threads or open files."""
    return any(_lacks(each) for each in _causes(error))


def _lacks(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _SHORTAGE_NUMBERS):
        return True
    text = str(error)[:2000].lower()
    return any(words in text for words in _SHORTAGE_WORDS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def unexpected(error: Exception) -> ModelRefused:
    """The refusal for an error that no check expects. Its traceback is in the log."""
    refused = ModelRefused("unexpected", f"it cannot be loaded: {error!r:.500}")
    refused.__cause__ = error
    return refused

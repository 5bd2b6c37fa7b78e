"""When a version that was refused is tried again: once its files have changed, or once the machine may be up to it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

# A version is repaired soon after it was refused, or hardly ever: after a minute its files are looked at once in a
# while, so that thousands of refused versions cost nothing.
_YOUNG_SECONDS = 60.0
_REST_SECONDS = 60.0
# First and longest pause before the same files are tried again, by the reason of the refusal; doubled at each failure.
# A load that took too long costs that long again, and other loads at a start may have slowed it down.
_PAUSES_SECONDS: Mapping[str, tuple[float, float]] = {"resources": (5.0, 300.0), "slow": (60.0, 3600.0)}
# Versions that failed together are not tried again together.
_SPREAD = 1.5


@dataclass(frozen=True)
class Refusal:
    """A version was refused.

    Attributes:
        kind: The reason, one word out of few.
        at: When, in monotonic seconds.
        seen_at: When its files were looked at last.
        fingerprint: Of the files that were refused.
        failures: How often in a row it was refused for a reason that may pass.
        retry_at: When the same files are worth another try; None where they are at fault.
    """

    kind: str
    at: float
    seen_at: float
    fingerprint: object
    failures: int = 0
    retry_at: float | None = None

    def look_due(self, now: float) -> bool:
        """Whether its files are worth a look."""
        return now < self.at + _YOUNG_SECONDS or now >= self.seen_at + _REST_SECONDS

    def retry_due(self, now: float) -> bool:
        """Whether the same files are worth another try."""
        return self.retry_at is not None and now >= self.retry_at

    def seen(self, now: float) -> "Refusal":
        """The same, after a look at the files that found them unchanged."""
        return replace(self, seen_at=now)


def refusal(kind: str, now: float, fingerprint: object, before: Refusal | None) -> Refusal:
    """A refusal at this moment.

    Args:
        kind: The reason.
        now: Monotonic seconds.
        fingerprint: Of the files.
        before: The same files' last refusal; None where there is none.
    """
    if kind not in _PAUSES_SECONDS:
        return Refusal(kind, now, now, fingerprint)
    failures = 1 + (before.failures if before is not None else 0)
    first_seconds, longest_seconds = _PAUSES_SECONDS[kind]
    pause_seconds = min(longest_seconds, first_seconds * 2.0 ** min(failures - 1, 20)) * random.uniform(1, _SPREAD)
    return Refusal(kind, now, now, fingerprint, failures, now + pause_seconds)

"""When a version that was refused is tried again: once its files have changed, or once resources may be there."""

from dataclasses import dataclass, replace

# A version is repaired soon after it was refused, or hardly ever: after a minute its files are looked at once in a
# while, so that thousands of refused versions cost nothing.
_YOUNG_SECONDS = 60.0
_REST_SECONDS = 60.0
# Pauses before a version is tried again that failed for lack of memory or threads; doubled at each failure.
_FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True)
class Refusal:
    """A version was refused.

    Attributes:
        at: When, in monotonic seconds.
        seen_at: When its files were looked at last.
        stamp: Of the files that were refused.
        failures: How often in a row it failed for lack of memory or threads; 0 where its files are at fault.
    """

    at: float
    seen_at: float
    stamp: object
    failures: int = 0

    def look_due(self, now: float) -> bool:
        """Whether its files are worth a look."""
        return now < self.at + _YOUNG_SECONDS or now >= self.seen_at + _REST_SECONDS

    def retry_due(self, now: float) -> bool:
        """Whether the same files are worth another try."""
        if not self.failures:
            return False
        return now >= self.at + min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** (self.failures - 1))

    def seen(self, now: float) -> "Refusal":
        """The same, after a look at the files that found them unchanged."""
        return replace(self, seen_at=now)

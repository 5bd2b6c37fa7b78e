"""Time that passes when the test says so."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Seconds that stand still until the test changes `now`."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

"""Ctrl-C as a wish: the work stops at the next place where nothing is lost."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Interruption:
    """Whether the person asked to stop."""

    requested: bool = False


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Within the block the first SIGINT only sets ``requested``; the second one acts as usual."""
    state = Interruption()

    def ask(_signal: int, _frame: object) -> None:
        state.requested = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield state
    finally:
        signal.signal(signal.SIGINT, before)

"""Ctrl-C as a wish: the work stops at the next place where nothing is lost. SIGTERM is the same wish."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Interruption:
    """Whether the person asked to stop."""

    requested: bool = False


@contextmanager
def catch_interruption() -> Iterator[Interruption]:
    """Within the block the first SIGINT or SIGTERM only sets ``requested``; the second one acts as usual."""
    state = Interruption()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(_signal: int, _frame: object) -> None:
        state.requested = True
        restore()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        for number in _SIGNALS:
            signal.signal(number, ask)
        yield state
    finally:
        restore()


@contextmanager
def interrupt_on_termination() -> Iterator[None]:
    """Within the block SIGTERM raises KeyboardInterrupt, as SIGINT does: whoever ends the process is a person too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""A request to stop, by Ctrl-C or SIGTERM."""

import signal

import pytest

from training.pipelines.interruption import catch_interruption, interrupt_on_termination

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_is_a_wish_and_the_second_acts(number: signal.Signals) -> None:
    """Whichever comes first; the handlers of before are back after it."""
    before = [signal.getsignal(each) for each in SIGNALS]
    with interrupt_on_termination():
        with pytest.raises(KeyboardInterrupt), catch_interruption() as stop:  # noqa: PT012
            assert not stop.requested
            signal.raise_signal(number)
            assert stop.requested
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(each) for each in SIGNALS] == before


def test_without_a_wish_nothing_is_left_changed() -> None:
    """The handlers are those of before."""
    before = [signal.getsignal(each) for each in SIGNALS]
    with catch_interruption() as stop:
        assert [signal.getsignal(each) for each in SIGNALS] != before
    assert not stop.requested
    assert [signal.getsignal(each) for each in SIGNALS] == before

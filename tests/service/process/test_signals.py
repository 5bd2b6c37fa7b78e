"""The signals that stop a server."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from service.process.signals import signals

_HUP = signal.SIGHUP


@pytest.fixture(autouse=True)
def _hangup() -> Iterator[None]:
    """Sets SIGHUP as a shell on a terminal does, also if the tests run under nohup."""
    before = signal.signal(_HUP, signal.SIG_DFL)
    yield
    signal.signal(_HUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_they_come_one_by_one(number: signal.Signals) -> None:
    """Each of them, as often as it is sent."""
    with signals() as came:
        for _ in range(2):
            os.kill(os.getpid(), number)
            assert came.next(60) is number
        with pytest.raises(TimeoutError):
            came.next(0)


def test_one_that_another_thread_gets() -> None:
    """The system may give it to any thread: the main one is woken all the same."""
    with signals() as came:

        def kill() -> None:
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

        thread = threading.Timer(0.05, kill)
        thread.start()
        assert came.next(60) is signal.SIGTERM
        thread.join()


def test_the_end_of_the_server() -> None:
    """It comes in order with the signals."""
    with signals() as came:
        os.kill(os.getpid(), signal.SIGTERM)
        came.end()
        assert [came.next(60), came.next(60)] == [signal.SIGTERM, None]


def test_a_hangup_that_is_ignored_stays_so() -> None:
    """Under nohup a server goes on when its terminal closes."""
    signal.signal(_HUP, signal.SIG_IGN)
    with signals() as came:
        assert signal.getsignal(_HUP) is signal.SIG_IGN
        os.kill(os.getpid(), _HUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert came.next(60) is signal.SIGTERM
    assert signal.getsignal(_HUP) is signal.SIG_IGN


def test_a_hangup_that_stops_nothing_is_always_received() -> None:
    """It asks for a reload then, which does no harm when a terminal closes, so nohup does not hide it."""
    signal.signal(_HUP, signal.SIG_IGN)
    with signals(hangup_stops=False) as came:
        os.kill(os.getpid(), _HUP)
        assert came.next(60) is _HUP
    assert signal.getsignal(_HUP) is signal.SIG_IGN


def test_the_handlers_are_put_back() -> None:
    """Handlers that were there before are there again."""
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    with signals():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == before


@pytest.mark.parametrize("last", [True, False])
def test_a_signal_after_the_last_block_changes_nothing(last: bool) -> None:
    """The process is about to end with its exit code; a block that is not the last leaves handlers as they were."""
    program = f"""
import os, signal
from service.process.signals import signals
with signals(last={last}):
    pass
os.kill(os.getpid(), signal.SIGTERM)
os._exit(7)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == (7 if last else -signal.SIGTERM)

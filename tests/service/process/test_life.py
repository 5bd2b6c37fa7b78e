"""A process ends in time, whatever hangs in it: here a server that is no server."""

import asyncio
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

from service.process.stop import CLOSED, GONE, LEFT, Milestone, Stop
from tests.kit.clock import Clock
from tests.kit.waiting import seconds_until

pytestmark = pytest.mark.usefixtures("foreground")

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs the body of a server with grace_seconds=0. The body prints "ready" when a signal may come."""
    started: list[subprocess.Popen[str]] = []

    def start(serve: str, grace_seconds: float = 0.0) -> "subprocess.Popen[str]":
        program = f"""
import asyncio, logging, signal, sys, threading, time
from service.process import life as process
from service.process.stop import Stop

logging.basicConfig(level=logging.INFO)

async def serve(stop):
{textwrap.indent(textwrap.dedent(serve), "    ")}

process.leave(process.run(serve, {grace_seconds}, asyncio.new_event_loop))
"""
        started.append(
            subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _end(process: "subprocess.Popen[str]", *numbers: signal.Signals) -> tuple[int, str, float]:
    """Send signals, each when the one before was noted: exit code, log, and seconds since the last one."""
    assert process.stderr is not None
    log = ""
    *before, last = numbers
    for number in before:
        process.send_signal(number)
        for line in process.stderr:
            log += line
            if number.name in line:
                break
    process.send_signal(last)
    seconds = seconds_until(lambda: process.poll() is not None, "the end of the process")
    _, rest = process.communicate(timeout=60)
    return process.returncode, log + rest, seconds


def test_a_server_that_stops(run: Run) -> None:
    """The process ends with it: exit code 0 if everything ended, 3 if something was abandoned."""
    for whole, code in (("True", 0), ("False", 3)):
        process = run(f"""
            print("ready", flush=True)
            await stop.asked.wait()
            return {whole}
        """)
        assert _end(process, signal.SIGTERM)[0] == code


def test_a_blocked_event_loop(run: Run) -> None:
    """It is abandoned in time with exit code 3, and the log says where it hangs."""
    code, log, seconds = _end(
        run("""
            print("ready", flush=True)
            threading.Event().wait()
        """),
        signal.SIGTERM,
    )
    assert code == 3, log
    assert seconds <= GONE.after_grace_seconds
    assert re.search(r"abandoned: .*'server' .*threading\.py", log)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal(run: Run, first: signal.Signals) -> None:
    """It ends a blocked process at once, whatever the grace period; with 0, since that was asked for."""
    process = run('print("ready", flush=True); threading.Event().wait()', grace_seconds=1e300)
    code, log, seconds = _end(process, first, signal.SIGINT)
    assert code == 0, log
    assert seconds <= GONE.after_at_once_seconds


def test_a_stop_at_once_that_the_server_asks_for(run: Run) -> None:
    """As a worker whose parent has gone. The two signals with which it wakes the main thread abandon nothing."""
    process = run(
        """
        stop.ask_at_once()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        print("ready", flush=True)
        await stop.at_once.wait()
        logging.info("closed")
        return True
        """,
        grace_seconds=600,
    )
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "closed" in log
    assert "stopping" not in log
    assert "abandoned" not in log


def test_a_hangup_may_come_twice(run: Run) -> None:
    """As from a shell whose terminal closes: the second one does not shorten the drain."""
    process = run(
        """
        print("ready", flush=True)
        await stop.asked.wait()
        print("asked", flush=True)
        await stop.at_once.wait()
        return True
        """,
        grace_seconds=600,
    )
    process.send_signal(signal.SIGHUP)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_threads_that_hang_do_not_keep_it(run: Run) -> None:
    """Neither one of the event loop's pool, which asyncio would wait for, nor one that the interpreter would join."""
    process = run(
        """
        asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
        threading.Thread(target=threading.Event().wait).start()
        print("ready", flush=True)
        await stop.asked.wait()
        return True
    """,
        grace_seconds=600,
    )
    assert _end(process, signal.SIGTERM)[0] == 0


@pytest.mark.parametrize("again", [False, True])
def test_a_stop_without_threads(run: Run, again: bool) -> None:
    """If no thread can be started for the log, a signal still stops the server, and a second one ends it at once."""
    process = run(
        """
        threading.stack_size(2**47)  # more than there are addresses
        print("ready", flush=True)
        await stop.asked.wait()
        print("asked", flush=True)
        await (stop.at_once if AGAIN else stop.asked).wait()
        print("drained", flush=True)
        return True
        """.replace("AGAIN", str(again)),
        grace_seconds=600,
    )
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "asked\n"
    if again:
        process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "drained\n"
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log


def test_a_log_that_nobody_reads(run: Run) -> None:
    """A full pipe blocks every write to the log, but the process ends."""
    process = run("""
        print("ready", flush=True)
        while True:
            logging.info("x" * 1000)
            await asyncio.sleep(0)
    """)
    process.send_signal(signal.SIGTERM)
    seconds = seconds_until(lambda: process.poll() is not None, "the end of the process")
    assert seconds <= GONE.after_grace_seconds
    assert process.returncode == 3


def test_what_a_server_raises_is_raised() -> None:
    """In the main thread, once its loop is closed."""
    program = """
import asyncio
from service.process import life as process

async def serve(stop):
    raise LookupError("no such thing")

try:
    process.run(serve, 0, asyncio.new_event_loop)
except LookupError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "no such thing\n"


def test_each_milestone_comes_before_the_next() -> None:
    """After the grace period and after a second signal: a wait that hangs takes no time from the next one."""

    async def check() -> None:
        clock = Clock()
        stop = Stop(30, clock)
        assert stop.remaining(GONE) == float("inf")
        stop.ask()
        assert stop.remaining(GONE) == 35
        clock.now += 5
        assert stop.remaining(GONE) == 30
        assert stop.remaining(Milestone(0, 0)) < stop.remaining(CLOSED) < stop.remaining(LEFT) < stop.remaining(GONE)
        stop.ask_at_once()
        assert 0 < stop.remaining(CLOSED) < stop.remaining(LEFT) < stop.remaining(GONE) == GONE.after_at_once_seconds

    asyncio.run(check())


def test_a_stop_that_is_asked_for_before_the_loop_runs() -> None:
    """A signal during the imports counts."""
    stop = Stop(30)
    stop.ask()

    async def check() -> None:
        stop.listen()
        async with asyncio.timeout(60):
            await stop.asked.wait()
        assert not stop.at_once.is_set()

    asyncio.run(check())

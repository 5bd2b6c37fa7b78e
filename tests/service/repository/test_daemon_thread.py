"""Work in daemon threads: threads take turns more often while it runs, and as before once all of it has ended."""

import subprocess
import sys

# In a process of its own: threads that hang, which other tests have begun, would count as work here.
_OVERLAPPING_WORK = """
import asyncio, sys, threading
from service.repository.daemon_thread import in_daemon_thread

usual_seconds, ends = sys.getswitchinterval(), (threading.Event(), threading.Event())

def work(number):
    assert ends[number].wait(60)
    if number:
        raise OSError("no such file")
    return sys.getswitchinterval()

async def run():
    first, second = (in_daemon_thread(lambda number=number: work(number), "work") for number in range(2))
    ends[1].set()
    try:
        await second
    except OSError:
        ends[0].set()
    assert await first < usual_seconds / 10

asyncio.run(run())
assert sys.getswitchinterval() == usual_seconds
"""


def test_turns_are_brief_until_the_last_work_has_ended() -> None:
    """Two pieces of work overlap. One of them fails, and ends first."""
    subprocess.run([sys.executable, "-c", _OVERLAPPING_WORK], check=True, timeout=120)

"""Threads that may hang: report where they are, and wait for them only for a limited time."""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_SHOWN_FRAMES = 5


class AbandonedPool(ThreadPoolExecutor):
    """A thread pool for calls that block. The event loop can end while its threads hang."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the loop's
        """Start no more calls, and do not wait for the running ones."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def within(seconds: float, act: Callable[[], object]) -> None:
    """Run a function that may hang, for at most this time. Example: a log line to a pipe that is not read.

    If no thread can be started, the function is not run.
    """
    thread = threading.Thread(target=act, name="may hang", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return
    thread.join(seconds)


def where_threads_are() -> str:
    """The name and the innermost frames of each other thread, in one line."""
    frames = sys._current_frames()
    shown = []
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if frame is None or thread is threading.current_thread():
            continue
        # Source lines are not looked up, because reading a file may hang too.
        walk = traceback.walk_stack(frame)
        stack = traceback.StackSummary.extract(walk, limit=_SHOWN_FRAMES, lookup_lines=False)
        places = [f"{each.name} ({os.path.basename(each.filename)}:{each.lineno})" for each in stack]
        shown.append(f"thread {thread.name!r} in {' < '.join(places)}")
    return "; ".join(shown) or "no thread of Python"

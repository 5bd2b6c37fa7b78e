"""Threads that may hang: where they are, and waiting for them no longer than is good."""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_FRAMES_TOLD = 5


class AbandonedPool(ThreadPoolExecutor):
    """Threads for calls that block; the end of an event loop waits for none of them."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the loop's
        """Start nothing more."""
        super().shutdown(wait=False, cancel_futures=cancel_futures)


def within(seconds: float, act: Callable[[], object]) -> None:
    """Do something that may hang, such as a line of the log that nobody reads, and wait no longer for it than this.

    Where no thread can be started, it is left out.
    """
    thread = threading.Thread(target=act, name="may hang", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return
    thread.join(seconds)


def where_threads_are() -> str:
    """Each other thread's name and its innermost frames, in one line."""
    frames = sys._current_frames()
    told = []
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if frame is None or thread is threading.current_thread():
            continue
        # Source lines are not looked up: a read of a file may hang as well.
        walk = traceback.walk_stack(frame)
        stack = traceback.StackSummary.extract(walk, limit=_FRAMES_TOLD, lookup_lines=False)
        places = [f"{each.name} ({os.path.basename(each.filename)}:{each.lineno})" for each in stack]
        told.append(f"thread {thread.name!r} in {' < '.join(places)}")
    return "; ".join(told) or "no thread of Python"

"""Reports of where threads are, and functions that may hang."""

import os
import threading
from pathlib import Path

from service.process.threads import where_threads_are, within


def test_no_source_is_read_to_tell_where_threads_are(tmp_path: Path) -> None:
    """A source file whose read hangs, here a pipe without a writer, holds up nothing."""
    source = tmp_path / "hanging.py"
    os.mkfifo(source)
    entered, over = threading.Event(), threading.Event()
    code = compile("def hang():\n    entered.set()\n    over.wait()\nhang()\n", str(source), "exec")
    thread = threading.Thread(target=exec, args=(code, {"entered": entered, "over": over}), name="odd", daemon=True)
    thread.start()
    assert entered.wait(60)
    told: list[str] = []
    within(60, lambda: told.append(where_threads_are()))
    over.set()
    thread.join(60)
    assert told
    assert "thread 'odd' in " in told[0]
    assert "hang (hanging.py:" in told[0]

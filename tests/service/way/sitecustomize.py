"""Python imports this at its start where this folder is in PYTHONPATH: the server then writes down the way of requests.

The way down of a request begins where the front end's handler is entered and ends where the session's run is entered.
For each request, one line goes to the file $KAN_TESTS_WAY: the files of ours of which a function was entered between,
as a JSON list in the order of entry. Generated code does not count.
"""

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from types import FrameType

_ROOT = str(Path(__file__).parents[3])
_OURS = (f"{_ROOT}/service/", f"{_ROOT}/proto/kan_api/")
# File and function.
_HANDLERS = {("service/frontends/grpcio/server.py", "service"), ("service/process/envoy/child.py", "__call__")}
_RUN = ("service/registry/model/session.py", "run")


class _Recorder(threading.local):
    """The way of the request that this thread works on."""

    def __init__(self) -> None:
        self._handler: FrameType | None = None
        self._files: dict[str, None] = {}

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(_OURS) or code.co_filename.endswith("_pb2.py"):
            return
        file = os.path.relpath(code.co_filename, _ROOT)
        if (file, code.co_name) in _HANDLERS and frame is not self._handler:  # a coroutine that goes on is called again
            self._handler, self._files = frame, {}
        if self._handler is None:
            return
        self._files[file] = None
        if (file, code.co_name) == _RUN:
            with open(os.environ["KAN_TESTS_WAY"], "a") as ways:
                print(json.dumps(list(self._files)), file=ways)
            self._files = {}


_recorder = _Recorder()
_set_event_loop = asyncio.set_event_loop


def _watch_and_set_event_loop(loop: asyncio.AbstractEventLoop | None) -> None:
    """Watch the thread too in which Envoy runs Python: it is none of threading's."""
    sys.setprofile(_recorder)
    _set_event_loop(loop)


threading.setprofile(_recorder)
asyncio.set_event_loop = _watch_and_set_event_loop

"""A worker process with Envoy: it starts and watches one Envoy, whose server is the worker. Started as a module."""

import asyncio
import logging
import os
import socket
from functools import partial
from typing import NoReturn

from service.access.certificates import certificates_of
from service.cores import bind_worker
from service.errors import StartupError
from service.process import life
from service.process.envoy import parent
from service.process.output import log, standard_streams
from service.process.workers.messages import Start, WorkerControl
from service.rpc.worker_count import worker_cores

_log = logging.getLogger(__name__)


def run() -> NoReturn:
    """Serve until a signal, and end the process without a wait for threads that hang."""
    standard_streams.open_closed()
    code = 1
    try:
        start = Start.found()
        given = start.read_given()
        settings, kept = given.read_settings(), given.last_valid("certificates")
        log.set_up(settings.log_format, start.number)
        bind_worker(start.number, worker_cores(settings))
        last_valid = None if kept is None else certificates_of(kept)
        announce = partial(_forget, start.given)
        serve = partial(parent.serve, settings, announce, more_fds=start.descriptors, last_valid=last_valid)
        try:
            # The parent of the workers alone obeys SIGHUP.
            code = life.run(serve, settings.grace_seconds, asyncio.new_event_loop, last=True, on_hangup=lambda: None)
        except StartupError as error:
            WorkerControl(socket.socket(fileno=start.control)).send(failed=str(error))
    except BaseException:
        _log.critical("a worker broke", exc_info=True)
    life.leave(code)


def _forget(given: int, _line: str) -> None:
    """The server inside Envoy has read what it starts with, maybe keys. The parent of the workers announces."""
    os.close(given)


if __name__ == "__main__":
    run()

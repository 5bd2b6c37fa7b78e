"""A worker process with grpcio: one server without an HTTP port. `worker_process` starts it as a module."""

import logging
import os
from functools import partial
from typing import NoReturn

# Set before gRPC is imported; see service/cli.py.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

from service.cores import bind_worker
from service.errors import StartupError
from service.process import life, server
from service.process.output import log, standard_streams
from service.process.stop import Stop
from service.process.workers.late_front import LateFront
from service.process.workers.membership import Membership
from service.process.workers.messages import Start
from service.rpc.worker_count import worker_cores
from service.settings import Settings

_log = logging.getLogger(__name__)


def run() -> NoReturn:
    """Serve until a signal, and end the process without a wait for threads that hang."""
    standard_streams.open_closed()
    code = 1
    try:
        start = Start.found()
        settings = start.read_given().read_settings()
        log.set_up(settings.log_format, start.number)
        bind_worker(start.number, worker_cores(settings))
        serve = partial(_serve, start, settings)
        # The parent alone obeys SIGHUP.
        code = life.run(serve, settings.grace_seconds, life.new_fast_loop(), last=True, on_hangup=lambda: None)
    except StartupError:
        pass  # the parent was told, and logs it
    except BaseException:
        _log.critical("a worker broke", exc_info=True)
    life.leave(code)


async def _serve(start: Start, settings: Settings, stop: Stop) -> bool:
    membership = Membership(start, stop)

    async def listen(loaded: server.Server) -> None:
        await membership.may_take_calls()
        assert isinstance(loaded.front, LateFront)
        await loaded.front.listen()
        membership.takes_calls(loaded.registry)

    try:
        started = await server.start(settings, LateFront.start, membership=membership)
        membership.beat(started.registry)
        return await server.run(started, settings, listen, stop)
    except StartupError as error:
        membership.failed(str(error))
        raise
    finally:
        await membership.close()


if __name__ == "__main__":
    run()

"""kan-serve: the command line, with one flag for each setting."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version as installed_version
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from service.errors import StartupError
from service.process import life, log, standard_streams
from service.process.stop import Stop
from service.rpc.cores import worker_count
from service.settings import Settings, variable

_log = logging.getLogger(__name__)


def run() -> NoReturn:
    """Run `main`, then end the process without waiting for threads that hang."""
    standard_streams.open_closed()
    code = 1
    try:
        code = main(last=True)
    except SystemExit as error:  # argparse's
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        _log.critical("kan-serve broke", exc_info=True)
    life.leave(code)


def main(arguments: Sequence[str] | None = None, *, last: bool = False) -> int:
    """Run a server until a signal stops it.

    Args:
        arguments: The command line without the program's name; None takes the command line of the process.
        last: Whether the process ends afterwards. If so, later signals are ignored.

    Returns:
        Exit code: 0 after a stop by signal; 1 if the server cannot start; 2 if a setting is invalid; 3 if something
        hung during the stop and was abandoned.
    """
    given = {name: value for name, value in vars(new_parser().parse_args(arguments)).items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        print(f"kan-serve: {_first_mistake(error)}", file=sys.stderr)
        return 2
    log.set_up(settings.log_format)
    if settings.workers == "auto":
        settings = settings.model_copy(update={"workers": worker_count(settings)})
        _log.info("workers: %s, the cores of the container", settings.workers)
    try:
        return life.run(_serve(settings), settings.grace_seconds, _new_loop(settings), last=last)
    except StartupError as error:
        if settings.log_format == "json":
            _log.critical("%s", error)
        else:
            print(f"kan-serve: {error}", file=sys.stderr)
        return 1


def _serve(settings: Settings) -> Callable[[Stop], Coroutine[Any, Any, bool]]:
    """The coroutine that serves. It does the slow imports itself, so that a signal during them is recorded."""

    async def serve(stop: Stop) -> bool:
        if settings.workers != 1:
            # Models run in the workers. This process saves the memory of gRPC, onnxruntime and uvloop.
            from service.process.workers.parent import serve as serve_with_workers

            return await serve_with_workers(settings, standard_streams.announce, stop)
        if settings.frontend == "envoy":
            # Models run inside Envoy. This process saves the same memory.
            from service.process.envoy_parent import serve as serve_behind_envoy

            return await serve_behind_envoy(settings, standard_streams.announce, stop)
        # Set before gRPC is imported: its newer event engine wakes three more threads for each call (decision 0006).
        os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
        from service.process.server import serve as serve_here

        return await serve_here(settings, standard_streams.announce, stop)

    return serve


def _new_loop(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop of this process: the faster one if it serves gRPC itself."""
    return asyncio.new_event_loop if settings.frontend == "envoy" or settings.workers != 1 else life.new_fast_loop()


def new_parser() -> argparse.ArgumentParser:
    """A parser with a flag for each field of Settings. Values stay text, because Settings checks them."""
    parser = argparse.ArgumentParser(
        prog="kan-serve",
        description="Serve the models of a repository over gRPC, with metrics and probes over HTTP.",
        epilog="Each setting can also be given as an environment variable: KAN_GRPC_PORT for --grpc-port.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"kan-serve {installed_version('kan-serving')}")
    for name, field in Settings.model_fields.items():
        _add_flag(parser, name, field)
    return parser


def _add_flag(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    """Add the flag of one field."""
    text = f"{field.description} (default: {field.default})".replace("%", "%%")
    if field.annotation is bool:
        parser.add_argument(_flag(name), dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
    else:
        parser.add_argument(_flag(name), dest=name, metavar="VALUE", help=text)


def _first_mistake(error: ValidationError) -> str:
    """The first invalid setting, with its flag, its environment variable and the reason."""
    mistake = error.errors(include_url=False)[0]
    reason = mistake["msg"].removeprefix("Value error, ")
    if not mistake["loc"]:
        return reason
    name = str(mistake["loc"][0])
    return f"{_flag(name)} (or {variable(name)}) is {mistake['input']!r}: {reason[0].lower()}{reason[1:]}"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


if __name__ == "__main__":
    run()

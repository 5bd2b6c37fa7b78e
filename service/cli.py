"""kan-serve: one flag a setting."""

import argparse
import asyncio
import importlib.util
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
from service.settings import Settings, variable

_log = logging.getLogger(__name__)


def run() -> NoReturn:
    """The program: `main`, and the end of the process, which waits for nothing that hangs."""
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
    """Run a server until it is told to stop.

    Args:
        arguments: The command line without the program's name; that of the process when left out.
        last: Whether the process ends afterwards: signals that come then are ignored.

    Returns:
        Exit code: 0 after a stop by signal, 1 where the server cannot start, 2 for a setting that does not fit, 3 where
        something that hung at the stop was abandoned.
    """
    given = {name: value for name, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        print(f"kan-serve: {_first_mistake(error)}", file=sys.stderr)
        return 2
    log.set_up(settings.log_format)
    try:
        return life.run(_serve(settings), settings.grace_seconds, _new_loop(settings), last=last)
    except StartupError as error:
        if settings.log_format == "json":
            _log.critical("%s", error)
        else:
            print(f"kan-serve: {error}", file=sys.stderr)
        return 1


def _serve(settings: Settings) -> Callable[[Stop], Coroutine[Any, Any, bool]]:
    """What serves. Imported when it runs: a signal that comes meanwhile is noted."""

    async def serve(stop: Stop) -> bool:
        if settings.frontend == "envoy":
            # What computes is inside Envoy: here neither gRPC nor onnxruntime nor uvloop is worth its memory.
            from service.process.envoy_parent import serve as serve_behind_envoy

            return await serve_behind_envoy(settings, standard_streams.announce, stop)
        # Before gRPC is imported: its newer way of reading sockets wakes three more threads a call (decision 0006).
        os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
        from service.process.server import serve as serve_here

        return await serve_here(settings, standard_streams.announce, stop)

    return serve


def _new_loop(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop]:
    """The faster uvloop where it is installed and gRPC is here."""
    if settings.frontend == "envoy" or importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop
    import uvloop

    return uvloop.new_event_loop


def _parser() -> argparse.ArgumentParser:
    """A flag for each field of Settings; values stay text, so that Settings alone checks them."""
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
    """The flag of one field."""
    text = f"{field.description} (default: {field.default})".replace("%", "%%")
    if field.annotation is bool:
        parser.add_argument(_flag(name), dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
    else:
        parser.add_argument(_flag(name), dest=name, metavar="VALUE", help=text)


def _first_mistake(error: ValidationError) -> str:
    """The first setting that does not fit, by its flag and its variable."""
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

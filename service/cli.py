"""kan-serve: the command line, with one flag for each setting."""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from kan_api.completion import complete
from service.cores import forget_cores
from service.errors import SettingsError, StartupError, WrongArguments
from service.process import life
from service.process.output import log, standard_streams
from service.process.reload import Reload
from service.process.stop import Stop
from service.rpc.worker_count import with_worker_count
from service.settings import Settings, Sources, flag
from service.settings.check import absent_models, describe
from service.settings.file import SettingsFile
from service.settings.groups import GROUPS
from service.settings.mistakes import nearest
from service.settings.variables import unknown_variables

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
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["token"]:
        return _make_token(words[1:])
    parser = new_parser()
    complete(parser)
    given = {name: value for name, value in vars(_parse(parser, words)).items() if value is not None}
    file, check = given.pop("config", os.environ.get("KAN_CONFIG")), given.pop("check_config", None)
    sources = Sources(given, Path(file) if file else None)
    try:
        content = sources.read()
        settings = sources.combine(content)
    except SettingsError as error:
        for mistake in error.mistakes:
            print(f"kan-serve: {mistake}", file=sys.stderr)
        return 2
    if check:
        sys.stdout.write(describe(settings, sources, content))
        return _tell_check(settings, sources, content, only_settings=check == "settings")
    forget_cores()
    log.set_up(settings.log_format)
    if warning := unknown_variables():
        _log.warning("%s", warning)
    if settings.workers == "auto":
        settings = with_worker_count(settings)
        _log.info("workers: %s, the cores of the container", settings.workers)
    reload = Reload(sources, settings) if sources.file else None
    on_hangup = None if reload is None else reload.request.ask
    try:
        return life.run(
            _serve(settings, reload), settings.grace_seconds, _new_loop(settings), last=last, on_hangup=on_hangup
        )
    except StartupError as error:
        if settings.log_format == "json":
            _log.critical("%s", error)
        else:
            print(f"kan-serve: {error}", file=sys.stderr)
        return 1


def _tell_check(settings: Settings, sources: Sources, file: SettingsFile, *, only_settings: bool) -> int:
    """Say on standard error whether a start would find all that the settings name. Returns the exit code."""
    mistakes, warnings = [], [unknown_variables()]
    if not only_settings:
        from service.process.preflight import find_mistakes, find_warnings

        mistakes = find_mistakes(settings, sources.origins(file))
        warnings = [absent_models(settings, file), *find_warnings(settings), *warnings]
    for warning in filter(None, warnings):
        print(f"kan-serve: warning: {warning}", file=sys.stderr)
    for mistake in mistakes:
        print(f"kan-serve: {mistake}", file=sys.stderr)
    if not mistakes:
        found = (
            ", and what they name is there" if isinstance(settings.models, Path) else "; object storage is not asked"
        )
        told = "; what they name was not looked for" if only_settings else found
        print(f"kan-serve: ok: the settings fit{told}", file=sys.stderr)
    return 2 if mistakes else 0


def _parse(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """The options; an unknown flag ends with the nearest one. Its value is not repeated: it may be a secret."""
    options, left = parser.parse_known_args(words)
    if left:
        unknown = [word.partition("=")[0] for word in left if word.startswith("-")] or left
        known = [flag(name) for group in GROUPS.values() for name in group.model_fields]
        near = nearest(unknown[0], [*known, "--config", "--check-config"])
        hint = f"; did you mean {near}?" if near else "; kan-serve --help lists the flags"
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return options


def _make_token(arguments: Sequence[str]) -> int:
    from service.access.new_token import make_token
    from service.protocols.methods import paths

    try:
        made = make_token(arguments, paths())
        print(made.text)
        for note in made.notes:
            print(f"kan-serve token: {note}", file=sys.stderr)
    except StartupError as error:
        print(f"kan-serve token: {error}", file=sys.stderr)
        return 2 if isinstance(error, WrongArguments) else 1
    return 0


def _serve(settings: Settings, reload: Reload | None) -> Callable[[Stop], Coroutine[Any, Any, bool]]:
    """The coroutine that serves. It does the slow imports itself, so that a signal during them is recorded."""

    async def serve(stop: Stop) -> bool:
        if settings.workers != 1:
            # Models run in the workers. This process saves the memory of gRPC, onnxruntime and uvloop.
            from service.process.workers.parent import serve as serve_with_workers

            return await serve_with_workers(settings, standard_streams.announce, stop, reload)
        if settings.frontend == "envoy":
            # Models run inside Envoy. This process saves the same memory.
            from service.process.envoy.parent import serve as serve_behind_envoy

            return await serve_behind_envoy(settings, standard_streams.announce, stop, reload)
        # Set before gRPC is imported: its newer event engine wakes three more threads for each call (decision 0006).
        os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
        # A caller without TLS would fill the log with lines for gRPC's developers, which are no JSON either.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        from service.process.server import serve as serve_here

        return await serve_here(settings, standard_streams.announce, stop, reload)

    return serve


def _new_loop(settings: Settings) -> Callable[[], asyncio.AbstractEventLoop]:
    """The event loop of this process: the faster one if it serves gRPC itself."""
    return asyncio.new_event_loop if settings.frontend == "envoy" or settings.workers != 1 else life.new_fast_loop()


def new_parser() -> argparse.ArgumentParser:
    """A parser with a flag for each field of Settings. Values stay text, because Settings checks them."""
    parser = argparse.ArgumentParser(
        prog="kan-serve",
        description="Serve the models of a repository over gRPC, with metrics and probes over HTTP.",
        epilog="Each of these settings is also an environment variable, KAN_GRPC_PORT for --grpc-port, and a key in "
        "the table [server] of the settings file, grpc_port. A flag wins over a variable, and that over the file. "
        "kan-serve token NAME FILE makes a token for a caller. Exit codes: 0 stopped by a signal, 1 cannot start, 2 an "
        "invalid setting, 3 stopped, but a part that hung was abandoned.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"kan-serve {installed_version('kan-serving')}")
    origin = parser.add_argument_group("settings file")
    origin.add_argument(
        "--config",
        metavar="FILE",
        help="Settings file in TOML, or KAN_CONFIG. It is read again after SIGHUP, and when it has changed.",
    )
    origin.add_argument(
        "--check-config",
        nargs="?",
        choices=("all", "settings"),
        const="all",
        help="Print the settings in force with their origins, look for the files that they name as a start would, and "
        "exit: 0 if all is well, 2 if not. Nothing is started. 'settings' looks for no files, for a check on another "
        "machine.",
    )
    for title, group in GROUPS.items():
        flags = parser.add_argument_group(title)
        for name, field in group.model_fields.items():
            _add_flag(flags, name, field)
    return parser


def _add_flag(group: "argparse._ArgumentGroup", name: str, field: FieldInfo) -> None:
    """Add the flag of one field."""
    default = "" if field.default in (None, "") else f" (default: {field.default})"
    text = f"{field.description}{default}".replace("%", "%%")
    if field.annotation is bool:
        group.add_argument(flag(name), dest=name, action=argparse.BooleanOptionalAction, default=None, help=text)
    else:
        group.add_argument(flag(name), dest=name, metavar=_placeholder(name, field), help=text)


def _placeholder(name: str, field: FieldInfo) -> str:
    """The choices of a field, or the unit that its name ends with, or its kind."""
    if get_origin(field.annotation) is Literal:
        return f"{{{','.join(get_args(field.annotation))}}}"
    if get_origin(field.annotation) is Union:  # of a number and one word
        words = [word for each in get_args(field.annotation) for word in get_args(each) if isinstance(word, str)]
        if words:
            return "|".join(["NUMBER", *words])
    unit = name.rpartition("_")[2]
    if unit in ("bytes", "port", "rows", "seconds"):
        return unit.upper()
    if field.annotation is float:
        return "SHARE"
    if field.annotation is int:
        return "NUMBER"
    # A description of a path begins with what it is: "File that gets", "PEM file of", "Folder of".
    first_words = (field.description or "").lower().split()[:2]
    return next((kind.upper() for kind in ("file", "folder", "address") if kind in first_words), "TEXT")


if __name__ == "__main__":
    run()

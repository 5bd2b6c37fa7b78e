"""kan-client: list models, describe one, predict or explain the rows of a file, ask for health."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

# Read when gRPC is imported: its own lines about a connection that fails are for its developers.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from kan_api.completion import complete
from service.client.access import TLS
from service.client.access.flags import DEFAULT_TIMEOUT_SECONDS, add_server
from service.client.client import Client
from service.client.command.answer_table import table_lines
from service.client.command.description import model_lines
from service.client.command.explain.explain_command import add_explain
from service.client.command.predict_command import SET_TAKES_NO_VALUE, add_model, add_predict
from service.client.errors import ClientError, Forbidden, InvalidInput, NotFound, NotPublished, Unauthenticated

_OK, _FAILED, _WRONG_INPUT = 0, 1, 2
# That of `kan-serve token`.
_TOKEN_PREFIX = "kan_"
_DESCRIPTION = "Call a kan-serve: list its models, describe one, predict or explain the rows of a file, ask for health."
_EXIT_CODES = (
    "exit codes: 0 done, 1 the server failed or is not there, 2 wrong input, 3 done, but some rows of the file are bad "
    "and have no answer, 130 interrupted"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; None takes the command line of the process.

    Returns:
        The exit code.
    """
    options = _parse(arguments)
    if sys.stdout is None:  # closed at the start, as by >&-
        return _fail("standard output is closed; wanted a place for the answers", _WRONG_INPUT)
    try:
        seconds = DEFAULT_TIMEOUT_SECONDS if options.timeout_seconds is None else options.timeout_seconds
        client = Client(options.address, seconds, tls=_tls(options), token=_token(options.token_file))
    except ValueError as error:
        return _fail(str(error), _WRONG_INPUT)
    run: Callable[[Client, argparse.Namespace], int] = options.run
    try:
        with client:
            code = run(client, options)
            sys.stdout.flush()
            return code
    except (Forbidden, InvalidInput, NotFound, NotPublished, Unauthenticated) as error:
        return _fail(str(error), _WRONG_INPUT)
    except ClientError as error:
        return _fail(str(error), _FAILED)
    except OSError as error:
        # An error of opening a file names the file. An error of reading or writing does not.
        if error.filename is not None:
            return _fail(f"{error.filename}: cannot read it: {error.strerror}", _WRONG_INPUT)
        # Python flushes stdout again at exit. Without this line it would report the same error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # The reader of our output may have ended, as in `kan-client … | head`: that is no error.
        return 128 + signal.SIGPIPE if isinstance(error, BrokenPipeError) else _fail(str(error), _FAILED)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _tls(options: argparse.Namespace) -> TLS | None:
    if options.ca is None:
        if options.cert is not None or options.key is not None:
            raise ValueError("--cert and --key are for TLS: give --ca too")
        return None
    return TLS(None if options.ca == "public" else options.ca, options.cert, options.key, options.server_name)


def _token(file: str | None) -> str | None:
    """The token; never an argument, which every user of the machine could read."""
    if file is None:
        return os.environ.get("KAN_TOKEN") or None
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        if file.startswith(_TOKEN_PREFIX):
            raise ValueError("--token-file is a token; wanted a file that holds it, or KAN_TOKEN=…") from None
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise ValueError(f"the token file {file!r} cannot be read: {reason}") from error


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options. argparse misses a FILE that may be absent if options stand between MODEL and it."""
    parser = new_parser()
    complete(parser)
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["predict"] and any(word.startswith("--set=") for word in words):
        parser.error(SET_TAKES_NO_VALUE)
    options, left = parser.parse_known_args(words)
    if getattr(options, "file", "") is None:
        options.file = left.pop() if len(left) == 1 and (left == ["-"] or not left[0].startswith("-")) else "-"
    if getattr(options, "set", False) and any("=" in word for word in left if not word.startswith("-")):
        parser.error(SET_TAKES_NO_VALUE)
    if left:
        # What follows an unknown flag is not repeated: after --token it would be a secret.
        flags = [word.partition("=")[0] for word in left if word.startswith("-")]
        parser.error(f"unrecognized arguments: {' '.join(flags or left)}")
    return options


def new_parser() -> argparse.ArgumentParser:
    """The command line and its help."""
    parser = argparse.ArgumentParser(prog="kan-client", description=_DESCRIPTION, epilog=_EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"kan-client {version('kan-serving')}")
    # No abbreviations below: --token would be --token-file, and its secret be shown as a file that is not there.
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    models = commands.add_parser("models", allow_abbrev=False, help="list the server's models", epilog=_EXIT_CODES)
    add_server(models)
    models.set_defaults(run=_models)

    describe = commands.add_parser(
        "describe",
        allow_abbrev=False,
        help="tell what a model wants and answers, how good it is, where it comes from, and its formula",
        epilog=_EXIT_CODES,
    )
    add_model(describe)
    add_server(describe)
    describe.set_defaults(run=_describe)

    add_predict(commands, _EXIT_CODES)

    add_explain(commands, _EXIT_CODES)

    health = commands.add_parser(
        "health", allow_abbrev=False, help="exit with 0 when the server or the model answers", epilog=_EXIT_CODES
    )
    health.add_argument(
        "model", metavar="MODEL", nargs="?", default="", help="the model's name (default: the server as a whole)"
    )
    add_server(health)
    health.set_defaults(run=_health)
    return parser


def _models(client: Client, options: argparse.Namespace) -> int:
    models = client.models()
    if not models:
        has_token = options.token_file is not None or os.environ.get("KAN_TOKEN")
        which = " that the token may use" if has_token else ""
        print(f"kan-client: {options.address} has no models{which}", file=sys.stderr)
        return _OK
    rows = [
        [
            model.name,
            str(model.version),
            model.state,
            "yes" if model.latest else "",
            model.task if model.feature_count else "",
            str(model.feature_count or ""),
            " ".join(model.reason.split()),
        ]
        for model in models
    ]
    names = ["model", "version", "state", "latest", "task", "features", "reason"]
    sys.stdout.writelines(table_lines(names, rows, [name in ("version", "features") for name in names]))
    return _OK


def _describe(client: Client, options: argparse.Namespace) -> int:
    sys.stdout.writelines(model_lines(client.manifest(options.model, options.model_version)))
    return _OK


def _health(client: Client, options: argparse.Namespace) -> int:
    try:
        health = client.health(options.model)
    except NotFound as error:
        return _fail(str(error), _FAILED)
    print(health.name)
    return _OK if health.name == "SERVING" else _FAILED


def _fail(message: str, code: int) -> int:
    _tell(message)
    return code


def _tell(message: str) -> None:
    print(f"kan-client: {' '.join(message.split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

"""kan-client: list models, predict the rows of a file, ask for health."""

import argparse
import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

from service.client.client import Client
from service.client.command.answer_table import table_lines
from service.client.command.predict_file import PredictionJob, predict_file
from service.client.command.row_file import Format
from service.client.errors import ClientError, InvalidInput, NotFound

_OK, _FAILED, _WRONG_INPUT = 0, 1, 2
_JSON_SUFFIXES = (".jsonl", ".ndjson")
_DESCRIPTION = "Call a kan-serve: list its models, predict the rows of a file, ask for health."
_EXIT_CODES = "exit codes: 0 done, 1 the server failed or is not there, 2 wrong input, 130 interrupted"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; None takes the command line of the process.

    Returns:
        The exit code.
    """
    options = new_parser().parse_args(arguments)
    try:
        client = Client(options.address, options.timeout_seconds)
    except ValueError as error:
        return _fail(str(error), _WRONG_INPUT)
    run: Callable[[Client, argparse.Namespace], int] = options.run
    try:
        with client:
            code = run(client, options)
            sys.stdout.flush()
            return code
    except (InvalidInput, NotFound) as error:
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


def new_parser() -> argparse.ArgumentParser:
    """The command line and its help."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--address",
        default=os.environ.get("KAN_ADDRESS", "127.0.0.1:8001"),
        metavar="HOST:PORT",
        help="address of the server; of several: IP:PORT,IP:PORT (default: %(default)s; environment: KAN_ADDRESS)",
    )
    common.add_argument(
        "--timeout-seconds",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="longest time of one call (default: %(default)g)",
    )
    parser = argparse.ArgumentParser(prog="kan-client", description=_DESCRIPTION, epilog=_EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"kan-client {version('kan-serving')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    models = commands.add_parser("models", parents=[common], help="list the server's models")
    models.set_defaults(run=_models)

    predict = commands.add_parser("predict", parents=[common], help="predict the rows of a file", epilog=_EXIT_CODES)
    predict.set_defaults(run=_predict)
    predict.add_argument("model", metavar="MODEL")
    predict.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        default="-",
        help="CSV with a header, or JSON lines; columns are found by name, in any order; - or nothing: standard input",
    )
    predict.add_argument("--model-version", type=_version, metavar="N", help="default: the latest that is ready")
    predict.add_argument(
        "--format",
        choices=("csv", "jsonl"),
        help=f"of the file (default: jsonl for {' and '.join(_JSON_SUFFIXES)}, else csv)",
    )
    predict.add_argument(
        "--output",
        choices=("table", "csv", "json"),
        help="default: table on a terminal, else csv; json: one object a line",
    )
    predict.add_argument(
        "--all", action="store_true", help="print the probability of every class, not only the label's"
    )
    predict.add_argument(
        "--target", metavar="COLUMN", help="column of the file with the true values: print how good the predictions are"
    )

    health = commands.add_parser("health", parents=[common], help="exit with 0 when the server or the model answers")
    health.set_defaults(run=_health)
    health.add_argument("model", metavar="MODEL", nargs="?", default="")
    return parser


def _version(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, got {text!r}")
    return int(text)


def _models(client: Client, options: argparse.Namespace) -> int:
    models = client.models()
    if not models:
        print(f"kan-client: {options.address} has no models", file=sys.stderr)
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


def _health(client: Client, options: argparse.Namespace) -> int:
    try:
        health = client.health(options.model)
    except NotFound as error:
        return _fail(str(error), _FAILED)
    print(health.name)
    return _OK if health.name == "SERVING" else _FAILED


def _predict(client: Client, options: argparse.Namespace) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        # The output is UTF-8, as the input is, under any locale.
        sys.stdout.reconfigure(encoding="utf-8")
    table = PredictionJob(
        model=options.model,
        version=options.model_version,
        source="standard input" if options.file == "-" else options.file,
        file_format=_format(options),
        style=options.output or ("table" if sys.stdout.isatty() else "csv"),
        all_probabilities=options.all,
        target=options.target,
    )
    with _open(options.file) as stream:
        score = predict_file(client, table, stream, sys.stdout, _tell)
    if score:
        sys.stdout.flush()
        print(score, file=sys.stderr)
    return _OK


def _format(options: argparse.Namespace) -> Format:
    if options.format:
        chosen: Format = options.format
        return chosen
    return "jsonl" if options.file.lower().endswith(_JSON_SUFFIXES) else "csv"


@contextlib.contextmanager
def _open(file: str) -> Iterator[BinaryIO]:
    """The file, or standard input for "-"."""
    if file == "-":
        if sys.stdin is None:  # closed at the start, as by <&-
            raise InvalidInput("standard input is closed; wanted rows there, or a file")
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as stream:
        yield stream


def _fail(message: str, code: int) -> int:
    _tell(message)
    return code


def _tell(message: str) -> None:
    print(f"kan-client: {' '.join(message.split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

"""The command `kan-client predict`: its options, its input and its exit code."""

import argparse
import contextlib
import csv
import io
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from kan_api.cells import quoted
from service.client.access.flags import add_server
from service.client.client import Client
from service.client.command.predict_file import PredictionJob, predict_file
from service.client.command.progress import Progress
from service.client.command.row_file import Format
from service.client.errors import InvalidInput

_OK: Final = 0
_BAD_ROWS: Final = 3
_ENDING_SIGNALS: Final = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
_JSON_SUFFIXES: Final = (".jsonl", ".ndjson")
# For callers who know --set COLUMN=VALUE from other commands.
VALUES_COME_FROM_A_FILE: Final = (
    "the values of rows come from FILE or standard input, for example echo '{\"COLUMN\": 1}' | "
    "kan-client predict MODEL --format jsonl"
)
SET_TAKES_NO_VALUE: Final = f"--set takes no value: it prints the set of classes of each row; {VALUES_COME_FROM_A_FILE}"


def add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", epilog: str) -> None:
    """Add the command to a command line.

    Args:
        commands: gets the command.
        epilog: the last paragraph of the help.
    """
    predict = commands.add_parser("predict", allow_abbrev=False, help="predict the rows of a file", epilog=epilog)
    predict.set_defaults(run=_predict)
    add_model(predict)
    of_file = add_file(predict)
    of_file.add_argument(
        "--skip-rows",
        type=_count,
        default=0,
        metavar="ROWS",
        help="number of rows at the beginning of the file to leave out; no header is printed: for the rest of an "
        "interrupted table; needs --model-version, the version of its first rows (default: 0)",
    )
    of_file.add_argument(
        "--strict",
        action="store_true",
        help="refuse the file at its first bad row; else such a row gets an empty answer, standard error says why, and "
        "the exit code is 3",
    )
    answers = predict.add_argument_group("the answers")
    answers.add_argument(
        "--output",
        choices=("table", "csv", "json"),
        help="json: one object a line (default: table on a terminal, else csv)",
    )
    answers.add_argument(
        "--all", action="store_true", help="print the probability of every class, not only the label's"
    )
    answers.add_argument(
        "--set",
        action="store_true",
        help="print a set of classes for each row, the most probable first, which holds the true class of a promised "
        "share of rows; takes no value (values of rows are in FILE); needs a model of classes that was trained with "
        "coverage in [calibration]",
    )
    answers.add_argument(
        "--target", metavar="COLUMN", help="column of the file with the true values: print how good the predictions are"
    )
    answers.add_argument(
        "--keep",
        type=_columns,
        action="extend",
        default=[],
        metavar="A,B,…",
        help="columns of the file to print before the answers, such as id,date (a name with a comma in double quotes); "
        "the answer's column is then predicted_TARGET",
    )
    add_server(predict)


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the model and the option that chooses a version."""
    command.add_argument("model", metavar="MODEL", help="the model's name; `kan-client models` lists them")
    command.add_argument_group("the model").add_argument(
        "--model-version", type=_version, metavar="VERSION", help="(default: the latest that is ready)"
    )


def add_file(command: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the file to read (None if it is not given), and a group with its format and the mark before its decimals."""
    command.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="CSV with a header, or JSON lines; columns are found by name, in any order; - or nothing: standard input. "
        "One row: echo '{\"COLUMN\": 1}' | kan-client … --format jsonl",
    )
    group = command.add_argument_group("the file")
    group.add_argument(
        "--format",
        choices=("csv", "jsonl"),
        help=f"(default: jsonl for {' and '.join(_JSON_SUFFIXES)}, else csv)",
    )
    group.add_argument(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        default=".",
        help="the mark before the decimals of the file's numbers: a comma reads 3,14 (default: a point)",
    )
    return group


def _predict(client: Client, options: argparse.Namespace) -> int:
    for place, name in enumerate(options.keep):
        if name in options.keep[:place]:
            raise InvalidInput(f"--keep names the column {quoted(name)} twice")
    if options.skip_rows and options.model_version is None:
        raise InvalidInput(
            "--skip-rows needs --model-version: add the version that answered the first rows, so that one version "
            "answers the whole table"
        )
    to_people = sys.stdout.isatty()
    if isinstance(sys.stdout, io.TextIOWrapper) and not to_people:
        # The output is UTF-8, as the input is, under any locale.
        sys.stdout.reconfigure(encoding="utf-8")
    job = PredictionJob(
        model=options.model,
        version=options.model_version,
        source="standard input" if options.file == "-" else options.file,
        file_format=format_of(options.file, options.format),
        style=options.output or ("table" if to_people else "csv"),
        all_probabilities=options.all,
        target=options.target,
        keep=tuple(options.keep),
        strict=options.strict,
        longest_wait_seconds=options.timeout_seconds,
        skip_rows=options.skip_rows,
        decimal=options.decimal,
        sets=options.set,
    )
    messages = sys.stderr or io.StringIO()  # closed at the start, as by 2>&-: nobody reads them
    progress = Progress(messages, is_shown=messages.isatty() and not to_people)
    with open_file(options.file) as stream, contextlib.closing(progress), _end_on_signals():
        outcome = predict_file(client, job, stream, sys.stdout, progress.tell, progress.show, progress.wait)
    if outcome.score:
        messages.write(f"{outcome.score}\n")
    return _BAD_ROWS if outcome.has_bad_row else _OK


@contextlib.contextmanager
def _end_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the command as an interrupt does, so that it tells which rows are answered."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # others may not set handlers
        for number in _ENDING_SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP, and that holds
                before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _version(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"wanted a whole number from 1, got {text!r}")
    return int(text)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise argparse.ArgumentTypeError(f"wanted a whole number from 0, got {text!r}")
    return int(text)


def _columns(text: str) -> list[str]:
    try:
        names = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"wanted names with commas between them, got {text!r}: {error}") from None
    if not names or "" in names:
        raise argparse.ArgumentTypeError(f"wanted names of columns with commas between them, got {text!r}")
    return names


def format_of(file: str, chosen: Format | None = None) -> Format:
    """The format of a file: as chosen by an option, or by its name."""
    return chosen or ("jsonl" if file.lower().endswith(_JSON_SUFFIXES) else "csv")


@contextlib.contextmanager
def open_file(file: str) -> Iterator[BinaryIO]:
    """The file, or standard input for "-"."""
    if file == "-":
        if sys.stdin is None:  # closed at the start, as by <&-
            raise InvalidInput("standard input is closed; wanted rows there, or a file")
        yield sys.stdin.buffer
        return
    if "=" in file and not Path(file).exists():
        raise InvalidInput(f"{file}: there is no such file; {VALUES_COME_FROM_A_FILE}")
    with Path(file).open("rb") as stream:
        yield stream

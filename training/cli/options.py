"""Options that several commands have, and how the text of an option becomes its value."""

import argparse
import csv
from pathlib import Path

from kan_api import version_folder
from training.recipe import MAX_PAIRS, MAX_ROWS


def add_output(command: argparse.ArgumentParser, *, quiet: bool = True) -> None:
    """Add the options that say how the command tells what it does: --json and, where it is of use, --quiet."""
    command.set_defaults(style="text")
    styles = command.add_argument_group("output").add_mutually_exclusive_group()
    styles.add_argument(
        "--json",
        dest="style",
        action="store_const",
        const="json",
        help="one JSON object a line on standard output, also of an error; no progress on standard error",
    )
    if quiet:
        styles.add_argument(
            "--quiet", dest="style", action="store_const", const="quiet", help="print nothing but errors"
        )


def add_models(group: "argparse._ArgumentGroup") -> None:
    """Add the option that names the model repository."""
    group.add_argument(
        "--models",
        type=Path,
        default=Path("models"),
        metavar="FOLDER",
        help="the model repository (default: models)",
    )


def names(text: str) -> tuple[str, ...]:
    """Names separated by commas; a name that contains a comma must be in double quotes."""
    try:
        return tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True, strict=True), []))
    except csv.Error as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}; wanted names separated by commas") from None


def row_counts(text: str) -> tuple[int, ...]:
    """Batch sizes separated by commas."""
    counts = tuple(int(word) if word.isdecimal() else 0 for word in text.split(","))
    if not all(1 <= count <= MAX_ROWS for count in counts):
        raise argparse.ArgumentTypeError(f"{text!r}: wanted numbers from 1 to {MAX_ROWS}, such as 1,32,1024")
    return counts


def pair_count(text: str) -> int:
    """How many pairs of columns."""
    if not text.isdecimal() or int(text) > MAX_PAIRS:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted a number of pairs, from 0 to {MAX_PAIRS}")
    return int(text)


def version_number(text: str) -> int:
    """The number of a version."""
    if (number := version_folder.version_number(text)) is None:
        raise argparse.ArgumentTypeError(
            f"{text!r}: wanted the number of a version, from 1 to {version_folder.MAX_VERSION}"
        )
    return number

"""kan-client predict: predict the rows of a file with one version, and print each answer as it arrives.

A table holds the answers of one version only. If that version is removed before the last row, the table begins anew
with the newest version: the file is read again, and the printed lines are removed from the output file.

Lines on a pipe or a terminal cannot be removed, and holding them back would take memory that grows with the table. Then
the table ends with a line that says that it is incomplete, and the exit code is 1.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final, TextIO

from kan_api.v1.manifest_pb2 import ModelManifest
from service.client.client import Client
from service.client.command.answer_table import Cell, Style, cells, column_names, lines
from service.client.command.printed import Printed, Replay
from service.client.command.row_file import Format, read_blocks
from service.client.command.score import Accuracy, Deviation, score_for
from service.client.errors import ClientError, NotFound, list_names
from service.client.limits import MAX_REQUEST_ROWS
from service.client.other_words import OtherWords
from service.client.rows import features
from service.client.streaming.conversation import MOST_FRESH_STARTS

# A block of this many numbers is some megabytes.
_MOST_BLOCK_NUMBERS: Final = 2**22


class IncompleteTable(ClientError):
    """The version that answered has been removed, and the table cannot begin anew."""


@dataclass(frozen=True)
class PredictionJob:
    """The options of one `kan-client predict`.

    model              name of the model
    version            a number; None is the latest that is ready when the table begins
    source             name of the file, for messages
    file_format        format of the file
    style              format of the answers
    all_probabilities  whether to print the probability of every class, not only the label's
    target             column with the true values; None if there is none
    """

    model: str
    version: int | None
    source: str
    file_format: Format
    style: Style
    all_probabilities: bool
    target: str | None


def predict_file(
    client: Client, job: PredictionJob, stream: BinaryIO, output: TextIO, tell: Callable[[str], None]
) -> str:
    """Print an answer for each row of a file.

    Args:
        client: connected to the server.
        job: the model and the formats.
        stream: the file.
        output: gets the answers.
        tell: gets messages for people.

    Returns:
        The score of the answers as one line; "" without a target.

    Raises:
        InvalidInput: when the file does not fit the model.
        NotFound: when there is no such model or version.
        IncompleteTable: when the version that answered was removed and the table cannot begin anew: printed lines
            cannot be removed, rows cannot be read again, or it has happened more than three times.
    """
    text, printed = Replay(stream), Printed(output)
    manifest = client.manifest(job.model, job.version)
    for begun_anew in range(MOST_FRESH_STARTS + 1):
        try:
            attempt = _Pass(client, job, manifest, tell if not begun_anew else _silent)
            score = attempt.run(text, printed)
            if others := attempt.others.summary():
                tell(f"{job.source}: {others}")
            return score
        except NotFound as gone:
            if job.version:
                raise
            version, rows = f"version {manifest.version} of {job.model}", printed.lines
            last = begun_anew == MOST_FRESH_STARTS
            if not printed.take_back() or last or not text.rewind():
                raise _incomplete(job, printed, version, rows, begun_anew) from gone
        manifest = client.manifest(job.model)
        tell(f"{version} is gone; the table begins anew on version {manifest.version}")
    raise AssertionError("the last pass returns or raises")


class _Pass:
    """One attempt to answer the whole table with one version."""

    def __init__(
        self, client: Client, job: PredictionJob, manifest: ModelManifest, tell: Callable[[str], None]
    ) -> None:
        self._client = client
        self._job = job
        self._manifest = manifest
        self._tell = tell
        self._score: Accuracy | Deviation | None = score_for(manifest, job.target) if job.target else None
        self.others = OtherWords()

    def run(self, text: Replay, printed: Printed) -> str:
        """Print all answers and return the score as one line."""
        names = column_names(self._manifest, self._job.all_probabilities)
        for line in lines(self._job.style, names, self._rows(text, printed)):
            printed.write(line)
        return self._score.summary() if self._score else ""

    def _rows(self, text: Replay, printed: Printed) -> Iterator[Sequence[Cell]]:
        """The cells to print, row by row. The next block is read when the previous block has been printed."""
        job, manifest = self._job, self._manifest
        wanted = [column.name for column in manifest.columns]
        if job.target:
            wanted = list(dict.fromkeys([*wanted, job.target]))
        block_rows = max(1, min(MAX_REQUEST_ROWS, _MOST_BLOCK_NUMBERS // max(1, len(manifest.features))))
        blocks = read_blocks(text, job.source, job.file_format, wanted, block_rows)
        for number, block in enumerate(blocks):
            if number == 0 and block.ignored:
                self._tell(f"{job.source}: ignored {list_names(list(block.ignored))}")
            # A full block means a long file. The server computes callers with a few rows first.
            bulk = block.count == block_rows
            prediction = self._client.predict(
                job.model, features(manifest, block, self.others), manifest.version, bulk=bulk
            )
            if self._score:
                self._score.add(block, prediction)
            if not printed.is_file:
                text.let_go()
            yield from cells(prediction, job.all_probabilities)


def _incomplete(job: PredictionJob, printed: Printed, version: str, rows: int, begun_anew: int) -> IncompleteTable:
    """The error for a table that cannot begin anew. If lines were printed, one more line there says so too."""
    if begun_anew == MOST_FRESH_STARTS:
        why = f"{version} is gone, as were {begun_anew} before it: try again later"
    else:
        why = f"{version} is gone after {rows} lines; from a file into a file (> FILE) a table begins anew by itself"
    if printed.lines:
        mark = f"incomplete: {why}"
        printed.write(json.dumps({"incomplete": why}) + "\n" if job.style == "json" else f"# {mark}\n")
    return IncompleteTable(why)


def _silent(_: str) -> None:
    pass

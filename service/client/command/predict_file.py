"""kan-client predict: the rows of a file, answered by one version and printed as they come.

A version that is gone before the last row cannot answer the rest, and another's answers may not follow its own. So the
table begins anew on the newest version: the file is read again, and what was printed is taken back. Neither memory nor
disk grows with the table, so what a pipe or a terminal has got stays there: the table then ends with a line that says
that it is not whole, and with exit code 1.
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
from service.client.errors import ClientError, NotFound, listed
from service.client.limits import MAX_REQUEST_ROWS
from service.client.rows import features
from service.client.streaming.conversation import MOST_FRESH_STARTS

# A block of this many numbers is some megabytes.
_MOST_BLOCK_NUMBERS: Final = 2**22


class NotWhole(ClientError):
    """The version that answered is gone, and the table cannot begin anew."""


@dataclass(frozen=True)
class PredictionJob:
    """What is asked.

    model              its name
    version            None is the latest that is ready when the table begins
    source             what messages call the file
    file_format        of the file
    style              of the answers
    all_probabilities  not only the label's own
    target             the column that holds the truth; None: there is none
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
        client: who is asked.
        job: what is asked.
        stream: the file.
        output: where answers go.
        tell: gets lines for people.

    Returns:
        How good the answers are, in a line; "" where there is no target.

    Raises:
        InvalidInput: when the file does not fit the model.
        NotFound: when there is no such model or version.
        NotWhole: when the version that answered is gone, and answers were printed that cannot be taken back or rows
            read that cannot be read again, or it happened too often.
    """
    text, printed = Replay(stream), Printed(output)
    manifest = client.manifest(job.model, job.version)
    for begun_anew in range(MOST_FRESH_STARTS + 1):
        try:
            return _Pass(client, job, manifest, tell if not begun_anew else _silent).run(text, printed)
        except NotFound as gone:
            if job.version:
                raise
            version, rows = f"version {manifest.version} of {job.model}", printed.lines
            last = begun_anew == MOST_FRESH_STARTS
            if not printed.take_back() or last or not text.rewind():
                raise _not_whole(job, printed, version, rows, begun_anew) from gone
        manifest = client.manifest(job.model)
        tell(f"{version} is gone; the table begins anew on version {manifest.version}")
    raise AssertionError("the last pass returns or raises")


class _Pass:
    """One version's answers to a table, from its first row on."""

    def __init__(
        self, client: Client, job: PredictionJob, manifest: ModelManifest, tell: Callable[[str], None]
    ) -> None:
        self._client = client
        self._job = job
        self._manifest = manifest
        self._tell = tell
        self._score: Accuracy | Deviation | None = score_for(manifest, job.target) if job.target else None

    def run(self, text: Replay, printed: Printed) -> str:
        """Print all answers; gives the score."""
        names = column_names(self._manifest, self._job.all_probabilities)
        for line in lines(self._job.style, names, self._rows(text, printed)):
            printed.write(line)
        return self._score.summary() if self._score else ""

    def _rows(self, text: Replay, printed: Printed) -> Iterator[Sequence[Cell]]:
        """Cells to print, row by row; a block of the file is read when the one before has been printed."""
        job, manifest = self._job, self._manifest
        wanted = [column.name for column in manifest.columns]
        if job.target:
            wanted = list(dict.fromkeys([*wanted, job.target]))
        block_rows = max(1, min(MAX_REQUEST_ROWS, _MOST_BLOCK_NUMBERS // max(1, len(manifest.features))))
        blocks = read_blocks(text, job.source, job.file_format, wanted, block_rows)
        for number, block in enumerate(blocks):
            if number == 0 and block.ignored:
                self._tell(f"{job.source}: ignored {listed(list(block.ignored))}")
            # A full block: a file of some length. Callers with a few rows go first.
            bulk = block.count == block_rows
            prediction = self._client.predict(job.model, features(manifest, block), manifest.version, bulk=bulk)
            if self._score:
                self._score.add(block, prediction)
            if not printed.is_file:
                text.let_go()
            yield from cells(prediction, job.all_probabilities)


def _not_whole(job: PredictionJob, printed: Printed, version: str, rows: int, begun_anew: int) -> NotWhole:
    """The error for a table that cannot begin anew; says so at the end of what was printed, too."""
    if begun_anew == MOST_FRESH_STARTS:
        why = f"{version} is gone, as were {begun_anew} before it: try again later"
    else:
        why = f"{version} is gone after {rows} lines; from a file into a file (> FILE) a table begins anew by itself"
    if printed.lines:
        mark = f"incomplete: {why}"
        printed.write(json.dumps({"incomplete": why}) + "\n" if job.style == "json" else f"# {mark}\n")
    return NotWhole(why)


def _silent(_: str) -> None:
    pass

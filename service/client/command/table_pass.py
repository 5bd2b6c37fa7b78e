"""One attempt to answer a whole table with one version. A bad row gets an empty answer; the others are answered."""

import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest
from service.client.answers import Prediction
from service.client.client import Client
from service.client.command.answer_table import Cell, cells, cells_of_all_rows, lines
from service.client.command.bad_rows import BadRows
from service.client.command.prediction_job import PredictionJob, target_names
from service.client.command.printed import Printed, Replay
from service.client.command.reading.file_block import FileBlock, part_of, pick_rows
from service.client.command.row_encoder import EncodedBlock, RowEncoder, find_refused
from service.client.command.row_file import read_blocks
from service.client.command.scoring.score import score_for
from service.client.command.unknown_ground import UnknownGround
from service.client.encoding.number_cells import numbers_of
from service.client.errors import InvalidInput, list_names
from service.client.limits import MAX_REQUEST_ROWS
from service.client.streaming.pace import Pace
from service.client.streaming.patience import Patience

# A block of this many numbers is some megabytes.
_MOST_BLOCK_NUMBERS: Final = 2**22
# Longest time to count the rows of a file.
_COUNT_SECONDS: Final = 1.0
# Targets that a hint names.
_MOST_NAMED: Final = 3
# The server names a refused row by its number in the request.
_NAMES_A_ROW: Final = re.compile(r"\brow \d+, ")


class TablePass:
    """One attempt to answer a table.

    Args:
        client: connected to the server.
        job: the model and the formats.
        manifest: of the version that answers.
        bad_rows: tells and counts the rows without an answer.
        tell: gets other messages for people.
        show_progress: gets the number of rows answered so far, and the share of the file that has been read.
        patience: sends refused requests again.

    Attributes:
        version: that answers.
        others: counts the words that are taken as "other".
        ground: counts what lies on unknown ground.
    """

    def __init__(
        self,
        client: Client,
        job: PredictionJob,
        manifest: ModelManifest,
        bad_rows: BadRows,
        tell: Callable[[str], None],
        show_progress: Callable[[int, float | None], None],
        patience: Patience,
    ) -> None:
        self._client = client
        self._job = job
        self._manifest = manifest
        self._bad_rows = bad_rows
        self._tell = tell
        self._show_progress = show_progress
        self._patience = patience
        self._pace = Pace(client.request_rows(manifest))
        self._encoder = RowEncoder(manifest)
        self._block_rows = max(1, min(MAX_REQUEST_ROWS, _MOST_BLOCK_NUMBERS // max(1, len(manifest.features))))
        self.version = manifest.version
        self.others = self._encoder.others
        self.ground = UnknownGround(manifest)
        self._names = job.columns_of_answer(manifest)
        self._score = score_for(manifest, job.target) if job.target else None

    def run(self, text: Replay, printed: Printed) -> str:
        """Print all answers and return the score as one line.

        Raises:
            InvalidInput: when the file does not fit the model, or with `strict` a row does not.
            NotFound: when the version has been removed.
        """
        names = [*self._job.keep, *self._names]
        for line in lines(self._job.style, names, self._rows(text, printed), self._job.skip_rows):
            printed.write(line)
        if self._score is None:
            return ""
        # Its test rows have trained it too, so no row of its table tells how good it is.
        warning = "; too good if rows of this file trained the model" if self._manifest.data.refit else ""
        return self._score.summary() + warning

    def count_rows(self, text: Replay) -> int | None:
        """How many rows the file has; None for a pipe, or if it takes long to count them."""
        if text.share_read() is None or not text.rewind():
            return None
        rows, end = 0, time.monotonic() + _COUNT_SECONDS
        with suppress(InvalidInput):
            for block in self._blocks(text):
                rows += block.rows.count
                if time.monotonic() > end:
                    return None
            return rows
        return None

    def _blocks(self, text: Replay) -> Iterator[FileBlock]:
        names = self._job.columns_to_read(self._manifest)
        return read_blocks(text, self._job.source, self._job.file_format, names, self._block_rows, self._job.decimal)

    def _rows(self, text: Replay, printed: Printed) -> Iterator[Sequence[Cell]]:
        """The cells to print, row by row. The next block is read when the previous block has been printed."""
        job, seen = self._job, 0
        for number, block in enumerate(self._blocks(text)):
            if number == 0 and block.rows.ignored:
                hint = self._target_hint(block.rows.ignored)
                self._tell(f"{job.source}: ignored {list_names(list(block.rows.ignored))}{hint}")
            # A full block means a long file. The server computes callers with a few rows first.
            bulk = block.rows.count == self._block_rows
            start = max(0, job.skip_rows - seen)
            while start < block.rows.count:
                # One request: its answers are printed before the next one, which a quota may hold back.
                part = part_of(block, start, self._pace.rows)
                yield from self._answered(part, bulk)
                start += part.rows.count
                if not printed.is_file:
                    text.let_go()
                self._show_progress(self._bad_rows.rows, text.share_read())
            seen += block.rows.count
        if seen < job.skip_rows:
            raise InvalidInput(f"--skip-rows is {job.skip_rows}, but {job.source} has {seen} rows")

    def _answered(self, block: FileBlock, bulk: bool) -> Iterator[Sequence[Cell]]:
        """The cells to print for the rows of a block."""
        job, rows = self._job, block.rows
        prediction, encoded = self._predict(block, bulk)
        unscored = self._add_to_score(block, encoded, prediction) if prediction else {}
        values = prediction.values if prediction else np.ones((0, 1), np.float32)
        not_finite = int(np.count_nonzero(~np.isfinite(values).all(axis=1)))
        self._bad_rows.add(rows.count, encoded.faults, unscored, not_finite)
        answers = cells(prediction, job.all_probabilities, job.sets) if prediction else iter(())
        kept = [rows.columns[name] for name in job.keep]
        yield from cells_of_all_rows(answers, len(self._names), encoded.faults, kept, rows.count)

    def _target_hint(self, ignored: Sequence[str]) -> str:
        """If the file seems to have the true values, how to compare the answers with them."""
        targets = target_names(self._manifest)
        found = [f"--target {shlex.quote(target)}" for target in targets if target in ignored]
        if not found or self._manifest.data.refit:
            return ""
        answers = "the answers" if len(targets) == 1 else "the answers to one target"
        return f"; {' or '.join(found[:_MOST_NAMED])} compares {answers} with the true values"

    def _predict(self, block: FileBlock, bulk: bool) -> tuple[Prediction | None, EncodedBlock]:
        """The answers to the good rows of a block, None without a good row; and which rows they are.

        Raises:
            InvalidInput: with `strict`, for the first row of the block that is not good.
        """
        strict = self._job.strict
        encoded = self._without_refused(block, self._encoder.encode_good(block))
        if strict and encoded.faults:
            raise InvalidInput(encoded.faults[min(encoded.faults)])
        if encoded.matrix is None:
            return None, encoded
        try:
            return self._answer(block, encoded, bulk), encoded
        except InvalidInput as error:
            if strict or not _NAMES_A_ROW.search(str(error)):
                raise
        # The manifest permits these rows, and the server refuses one nevertheless. The number that it names is one of a
        # request, and a block goes in several requests, so the row is searched for.
        place = block.rows.place
        refused = find_refused(encoded.good, lambda chosen: self._ask(encoded, chosen, bulk))
        faults = {row: f"{place(row)}: {_NAMES_A_ROW.sub('', why)}" for row, why in refused.items()}
        encoded = encoded.without(faults)
        return None if encoded.matrix is None else self._answer(block, encoded, bulk), encoded

    def _without_refused(self, block: FileBlock, encoded: EncodedBlock) -> EncodedBlock:
        """The block without the rows of which the manifest tells that the model refuses them."""
        if encoded.matrix is None or not (faults := self.ground.refused(block.rows, encoded.good, encoded.matrix)):
            return encoded
        return encoded.without(faults)

    def _answer(self, block: FileBlock, encoded: EncodedBlock, bulk: bool) -> Prediction:
        """The answers to the good rows of a block."""
        assert encoded.matrix is not None
        prediction = self._ask(encoded, encoded.good, bulk)
        self.ground.add(block.rows, encoded.good, encoded.matrix, prediction.ground)
        return prediction

    def _ask(self, encoded: EncodedBlock, chosen: Sequence[int], bulk: bool) -> Prediction:
        """The answers to chosen rows of a block."""
        matrix = encoded.features_of(chosen)
        fields: dict[str, bool] = {"bulk": bulk, "report_ground": self.ground.asks_server, "wait": False}
        return self._patience.answer(
            lambda: self._client.predict(self._job.model, matrix, self._manifest.version, **fields), self._pace
        )

    def _add_to_score(self, block: FileBlock, encoded: EncodedBlock, prediction: Prediction) -> dict[int, str]:
        """Add the answers to the score. Gives the rows whose true value is of no use, each with the reason."""
        if self._score is None:
            return {}
        good = encoded.good
        rows = pick_rows(block.rows, good) if len(good) < block.rows.count else block.rows
        try:
            self._score.add(rows, prediction)
        except InvalidInput:
            if self._job.strict:
                raise
        else:
            return {}
        name = self._job.target or ""
        faults = find_refused(range(rows.count), lambda chosen: numbers_of(name, pick_rows(rows, chosen)))
        scored = [row for row in range(rows.count) if row not in faults]
        outputs = {output: values[scored] for output, values in prediction.outputs.items()}
        labels = prediction.labels and tuple(prediction.labels[row] for row in scored)
        self._score.add(pick_rows(rows, scored), replace(prediction, outputs=outputs, labels=labels))
        return {good[row]: why for row, why in faults.items()}

"""One attempt to answer a whole table with one version. A bad row gets an empty answer; the others are answered."""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
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
from service.client.command.reading.file_block import FileBlock, pick_rows
from service.client.command.row_encoder import EncodedBlock, RowEncoder, find_refused
from service.client.command.row_file import read_blocks
from service.client.command.scoring.score import score_for
from service.client.command.unknown_ground import UnknownGround
from service.client.encoding.rows import numbers_of
from service.client.errors import InvalidInput, list_names
from service.client.limits import MAX_REQUEST_ROWS

# A block of this many numbers is some megabytes.
_MOST_BLOCK_NUMBERS: Final = 2**22
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

    Attributes:
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
    ) -> None:
        self._client = client
        self._job = job
        self._manifest = manifest
        self._bad_rows = bad_rows
        self._tell = tell
        self._show_progress = show_progress
        self._encoder = RowEncoder(manifest)
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
        for line in lines(self._job.style, [*self._job.keep, *self._names], self._rows(text, printed)):
            printed.write(line)
        if self._score is None:
            return ""
        # Its test rows have trained it too, so no row of its table tells how good it is.
        warning = "; too good if rows of this file trained the model" if self._manifest.data.refit else ""
        return self._score.summary() + warning

    def _rows(self, text: Replay, printed: Printed) -> Iterator[Sequence[Cell]]:
        """The cells to print, row by row. The next block is read when the previous block has been printed."""
        job, manifest = self._job, self._manifest
        block_rows = max(1, min(MAX_REQUEST_ROWS, _MOST_BLOCK_NUMBERS // max(1, len(manifest.features))))
        blocks = read_blocks(text, job.source, job.file_format, job.columns_to_read(manifest), block_rows)
        for number, block in enumerate(blocks):
            rows = block.rows
            if number == 0 and rows.ignored:
                self._tell(f"{job.source}: ignored {list_names(list(rows.ignored))}{self._target_hint(rows.ignored)}")
            # A full block means a long file. The server computes callers with a few rows first.
            prediction, encoded = self._predict(block, bulk=rows.count == block_rows)
            unscored = self._add_to_score(block, encoded, prediction) if prediction else {}
            values = prediction.values if prediction else np.ones((0, 1), np.float32)
            not_finite = int(np.count_nonzero(~np.isfinite(values).all(axis=1)))
            self._bad_rows.add(rows.count, encoded.faults, unscored, not_finite)
            if not printed.is_file:
                text.let_go()
            answers = cells(prediction, job.all_probabilities) if prediction else iter(())
            kept = [rows.columns[name] for name in job.keep]
            yield from cells_of_all_rows(answers, len(self._names), encoded.faults, kept, rows.count)
            self._show_progress(self._bad_rows.rows, text.share_read())

    def _target_hint(self, ignored: Sequence[str]) -> str:
        """If the file seems to have the true values, how to compare the answers with them."""
        targets = target_names(self._manifest)
        found = [f"--target {shlex.quote(target)}" for target in targets if target in ignored]
        if not found or self._manifest.data.refit:
            return ""
        answers = "the answers" if len(targets) == 1 else "the answers to one target"
        return f"; {' or '.join(found[:_MOST_NAMED])} compares {answers} with the true values"

    def _predict(self, block: FileBlock, bulk: bool) -> tuple[Prediction | None, EncodedBlock]:
        """The answers to the good rows of a block, None without a good row; and which rows they are."""
        strict = self._job.strict
        encoded = self._encoder.encode(block) if strict else self._encoder.encode_good(block)
        encoded = self._without_refused(block, encoded)
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
        """The block without the rows of which the manifest tells that the model refuses them.

        Raises:
            InvalidInput: with `strict`, for the first of them.
        """
        if encoded.matrix is None or not (faults := self.ground.refused(block.rows, encoded.good, encoded.matrix)):
            return encoded
        if self._job.strict:
            raise InvalidInput(faults[min(faults)])
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
        return self._client.predict(
            self._job.model, matrix, self._manifest.version, bulk=bulk, report_ground=self.ground.asks_server
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

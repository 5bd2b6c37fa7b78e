"""The rows of a file, explained block by block. A bad row gets "?" in place of a line; the others are explained."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from kan_api.v1.manifest_pb2 import ModelManifest
from service.client.client import Client
from service.client.command.bad_rows import BadRows
from service.client.command.explain.lines import explanation_line, show_cell, terms_of
from service.client.command.printed import Replay
from service.client.command.reading.file_block import FileBlock
from service.client.command.row_encoder import EncodedBlock, RowEncoder, find_refused
from service.client.command.row_file import Format, read_blocks
from service.client.command.unknown_ground import UnknownGround
from service.client.encoding.rows import Matrix
from service.client.encoding.table_rows import Decimal, TableRows
from service.client.errors import InvalidInput, list_names
from service.client.explanations import Explanation
from service.client.streaming.pace import Pace
from service.client.streaming.patience import Patience

_BLOCK_ROWS: Final = 256


@dataclass(frozen=True)
class ExplainJob:
    """The options of one `kan-client explain`.

    manifest     of the version that answers
    source       name of the file, for messages
    file_format  format of the file
    outputs      places of the outputs to explain; None: the predicted class of each row
    top          how many contributions of a line are named
    reference    the reference row [1, features]; None: that of the manifest
    minus        the sign of what is subtracted
    decimal      the mark before the decimals of the file's numbers
    """

    manifest: ModelManifest
    source: str
    file_format: Format
    outputs: Sequence[int] | None
    top: int
    reference: Matrix | None
    minus: str
    decimal: Decimal = "."


def explained_lines(
    client: Client,
    job: ExplainJob,
    stream: BinaryIO,
    bad_rows: BadRows,
    tell: Callable[[str], None],
    patience: Patience,
) -> Iterator[str]:
    """The lines for the rows of a file, without their ends: one for each output of a row to explain.

    Args:
        client: connected to the server.
        job: the model and the options.
        stream: the file.
        bad_rows: counts and tells the rows without an answer.
        tell: gets other messages for people.
        patience: sends refused requests again.

    Raises:
        InvalidInput: when the file does not fit the model.
        ClientError: when the server fails.
    """
    pace = Pace(_BLOCK_ROWS)
    encoder, ground = RowEncoder(job.manifest), UnknownGround(job.manifest)
    names = [column.name for column in job.manifest.columns]
    blocks = read_blocks(Replay(stream), job.source, job.file_format, names, _BLOCK_ROWS, job.decimal)
    for number, block in enumerate(blocks):
        if number == 0 and block.rows.ignored:
            tell(f"{job.source}: ignored {list_names(list(block.rows.ignored))}")
        encoded = encoder.encode_good(block)
        if encoded.matrix is not None:
            encoded = encoded.without(ground.refused(block.rows, encoded.good, encoded.matrix))
        explanation, encoded = _explain(client, job, block, encoded, lambda ask: patience.answer(ask, pace))
        if explanation is not None and encoded.matrix is not None:
            ground.add(block.rows, encoded.good, encoded.matrix, explanation.ground)
        bad_rows.add(block.rows.count, encoded.faults, {}, _count_not_finite(job, explanation))
        yield from _lines(job, block.rows, encoded, explanation)
    if others := encoder.others.summary():
        tell(f"{job.source}: {others}")
    for line in ground.lines():
        tell(line)


def _explain(
    client: Client,
    job: ExplainJob,
    block: FileBlock,
    encoded: EncodedBlock,
    patiently: Callable[[Callable[[], Explanation]], Explanation],
) -> tuple[Explanation | None, EncodedBlock]:
    """The explanations of the good rows of a block, None without a good row; and which rows they are."""
    if encoded.matrix is None:
        return None, encoded

    def ask(chosen: Sequence[int]) -> Explanation:
        rows = encoded.features_of(chosen)
        fields: dict[str, Any] = {"reference": job.reference, "wait": False}
        return patiently(lambda: client.explain(job.manifest.name, rows, job.manifest.version, **fields))

    try:
        return ask(encoded.good), encoded
    except InvalidInput as error:
        if "features" not in str(error):
            raise
    # The manifest permits these rows, and the server refuses one nevertheless.
    refused = find_refused(encoded.good, ask)
    left = encoded.without({row: f"{block.rows.place(row)}: {why}" for row, why in refused.items()})
    return (ask(left.good) if left.good else None), left


def _lines(job: ExplainJob, rows: TableRows, encoded: EncodedBlock, explanation: Explanation | None) -> Iterator[str]:
    missing = _missing_cells(job.manifest, encoded.matrix)
    places = {row: place for place, row in enumerate(encoded.good)}
    for row in range(rows.count):
        place = places.get(row)
        if place is None or explanation is None:
            yield "?"
            continue
        cells = {
            name: show_cell(rows.columns[name][row], name in missing and bool(missing[name][place]))
            for name in rows.columns
        }
        scores = explanation.explained[place]
        # No class is the predicted one where a score is NaN; the line is then "?".
        outputs = [int(np.argmax(scores))] if job.outputs is None else job.outputs
        base = explanation.baseline[place if len(explanation.baseline) > 1 else 0]
        for output in outputs:
            terms = terms_of(explanation.contributions[place, output].tolist(), explanation.columns, cells, job.top)
            line = explanation_line(float(scores[output]), float(base[output]), terms, job.minus)
            yield f"{explanation.outputs[output]}: {line}" if len(explanation.outputs) > 1 else line


def _count_not_finite(job: ExplainJob, explanation: Explanation | None) -> int:
    """The number of rows with a line that is "?", because the answer or a part of it is infinite or NaN."""
    if explanation is None:
        return 0
    scores = explanation.explained
    best = np.argmax(scores, axis=1)[:, np.newaxis]
    outputs = best if job.outputs is None else np.tile(np.array(job.outputs), (len(scores), 1))
    parts = np.take_along_axis(explanation.contributions, outputs[:, :, np.newaxis], axis=1).reshape(len(scores), -1)
    bases = np.take_along_axis(np.broadcast_to(explanation.baseline, scores.shape), outputs, axis=1)
    values = np.hstack([np.take_along_axis(scores, outputs, axis=1), bases, parts])
    return int(np.count_nonzero(~np.isfinite(values).all(axis=1)))


def _missing_cells(manifest: ModelManifest, matrix: Matrix | None) -> dict[str, NDArray[np.bool_]]:
    """For each column, which of the encoded rows have no value there: NaN, or the empty word."""
    if matrix is None:
        return {}
    found: dict[str, NDArray[np.bool_]] = {}
    words = {column.name for column in manifest.columns if column.categories}
    for place, feature in enumerate(manifest.features):
        if feature.column not in words:
            found[feature.column] = np.isnan(matrix[:, place])
        elif feature.category == "":
            found[feature.column] = matrix[:, place] == 1
    return found

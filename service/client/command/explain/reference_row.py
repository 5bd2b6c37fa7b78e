"""The reference row of `kan-client explain --reference`: a file with one row, or a row as a JSON object."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import ModelManifest
from service.client.command.predict_command import format_of
from service.client.command.printed import Replay
from service.client.command.row_encoder import RowEncoder
from service.client.command.row_file import read_blocks
from service.client.command.unknown_ground import UnknownGround
from service.client.encoding.other_words import OtherWords
from service.client.encoding.rows import Matrix, features, rows_of
from service.client.encoding.table_rows import Decimal, TableRows
from service.client.errors import InvalidInput, list_names

_WANTED: Final = "wanted a file with one row, or a row as a JSON object"


def read_reference(manifest: ModelManifest, text: str, tell: Callable[[str], None], decimal: Decimal = ".") -> Matrix:
    """The reference row as the model takes it, [1, features].

    Args:
        manifest: of the model.
        text: the name of a file, or a JSON object.
        tell: gets what people are told of rows too: ignored columns, other words, unknown ground as far as the
            manifest tells.
        decimal: the mark before the decimals of a file's numbers.

    Raises:
        InvalidInput: when it is no row of this model.
        OSError: when the file cannot be read.
    """
    rows, matrix, others = _read(manifest, text, decimal)
    if rows.ignored:
        tell(f"--reference: ignored {list_names(list(rows.ignored))}")
    if summary := others.summary():
        tell(f"--reference: {summary}")
    ground = UnknownGround(manifest)
    ground.add(rows, range(1), matrix, None)
    for line in ground.lines():
        tell(f"--reference: {line}")
    return matrix


def _read(manifest: ModelManifest, text: str, decimal: Decimal) -> tuple[TableRows, Matrix, OtherWords]:
    names = [column.name for column in manifest.columns]
    if text.lstrip().startswith("{"):
        try:
            row = json.loads(text)
        except ValueError as error:
            raise InvalidInput(f"--reference is no JSON object: {error}") from None
        rows, others = rows_of([row], names, lambda _: "--reference"), OtherWords()
        return rows, features(manifest, rows, others), others
    if not text.strip():
        raise InvalidInput(f"--reference is empty; {_WANTED}")
    if text == "-":
        raise InvalidInput(f'--reference is "-", but standard input is for the rows to explain; {_WANTED}')
    if text.lstrip().startswith("[") and not Path(text).exists():
        raise InvalidInput(f"--reference is {quoted(text)}, neither a file nor a JSON object; {_WANTED}")
    with Path(text).open("rb") as stream:
        blocks = list(read_blocks(Replay(stream), text, format_of(text), names, 2, decimal))
    count = sum(block.rows.count for block in blocks)
    if count != 1:
        raise InvalidInput(f"{text} has {count} rows; wanted one, the reference row")
    encoder = RowEncoder(manifest)
    encoded = encoder.encode(blocks[0])
    assert encoded.matrix is not None
    return blocks[0].rows, encoded.matrix, encoder.others

"""How many rows one message can explain: kan-serve and kan-client share the rule, so what the client sends fits.

An answer is the numbers of its rows, the names of columns and outputs, and the cells on unknown ground. A small message
is filled by the unknown cells of few rows, a large one by numbers and the most cells that a message has.
"""

from collections.abc import Sequence

from kan_api.ground import column_names, most_cells
from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from kan_api.v1.prediction_pb2 import Contributions, ExplainResponse, Matrix

# The id, the name of the model, times, lengths and tags around the numbers of an answer.
_ENVELOPE_BYTES = 2**14
# Of a message's field: a tag of a byte, and a length of at most five.
_FIELD_BYTES = 6
# Of an unknown cell without the name of its column: the row, the reason, the value, tags and lengths.
_CELL_BYTES = 32


def output_names(manifest: ModelManifest) -> tuple[str, ...]:
    """The names of the values that are explained for each row: classes, targets, or numbered columns of the output."""
    if manifest.task == TASK_CLASSIFICATION:
        return tuple(manifest.classes)
    if manifest.targets:
        return tuple(manifest.targets)
    name, width = manifest.target or manifest.outputs[0].name, manifest.outputs[0].shape[1]
    return (name,) if width == 1 else tuple(f"{name}_{place}" for place in range(width))


def most_explained_rows(manifest: ModelManifest, max_message_bytes: int) -> int:
    """Most rows whose explanations fit into one message, whatever of them is unknown.

    That holds for an ExplainResponse, and for a ModelInferResponse with all outputs. GetModel may leave out the
    histograms of a manifest, so unknown cells are always counted.

    Args:
        manifest: Has an attribution_graph.
        max_message_bytes: Largest message.

    Returns:
        0: not even one row's.
    """
    outputs, columns = output_names(manifest), manifest.attribution_graph.columns
    label_bytes = max((len(each.encode()) + _FIELD_BYTES for each in manifest.classes), default=0)
    # Each output has contributions, an explained value and a baseline.
    # A row also has a label, and at most one flag for each feature.
    row_bytes = 4 * len(outputs) * (len(columns) + 2) + len(manifest.features) + label_bytes
    room_bytes = max_message_bytes - min(_ENVELOPE_BYTES, max_message_bytes // 2) - _names_bytes(outputs, columns)
    names = column_names(manifest)
    cell_bytes = _CELL_BYTES + max((len(each.encode()) for each in names), default=0)
    with_most_cells = (room_bytes - most_cells(names) * cell_bytes) // row_bytes
    with_every_cell = room_bytes // (row_bytes + len(names) * cell_bytes)
    return max(0, with_most_cells, with_every_cell)


def _names_bytes(outputs: tuple[str, ...], columns: Sequence[str]) -> int:
    """Bytes of an ExplainResponse of the names, and of the shapes around the numbers."""
    shape = Matrix(rows=2**31 - 1, columns=2**31 - 1)
    named = ExplainResponse(
        columns=columns, contributions=[Contributions(output=each, values=shape) for each in outputs]
    )
    return named.ByteSize() + 3 * _FIELD_BYTES * len(outputs)

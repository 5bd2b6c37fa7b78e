"""Rows whose explanations fit into a message, against the bytes that protobuf writes."""

import pytest

from kan_api.explained_rows import most_explained_rows
from kan_api.ground import MOST_CELLS
from kan_api.v1 import prediction_pb2 as pb
from kan_api.v1.manifest_pb2 import AttributionGraph, Column, Feature, ModelManifest, TensorSpec
from open_inference.grpc_predict_v2_pb2 import ModelInferResponse


def _manifest(columns: int, outputs: int, characters: int) -> ModelManifest:
    names = [f"{place:06}".ljust(characters, "ä") for place in range(columns)]
    return ModelManifest(
        name="m",
        targets=[f"{place:06}".ljust(characters, "ö") for place in range(outputs)],
        columns=[Column(name=name) for name in names],
        features=[Feature(name=name, column=name) for name in names],
        outputs=[TensorSpec(name="y", datatype="FP32", shape=[-1, outputs])],
        attribution_graph=AttributionGraph(columns=names),
    )


def _matrix(rows: int, columns: int) -> pb.Matrix:
    return pb.Matrix(rows=rows, columns=columns, raw=bytes(4 * rows * columns))


def _answer_bytes(manifest: ModelManifest, rows: int) -> int:
    """Of an answer to rows of which every cell is unknown."""
    names, outputs = list(manifest.attribution_graph.columns), list(manifest.targets)
    cells = [(row, name) for row in range(min(rows, MOST_CELLS)) for name in names][:MOST_CELLS]
    ground = pb.Ground(is_known=True, unknown_rows=rows, unknown_cells=rows * len(names))
    for row, name in cells:
        ground.cells.add(row=row, column=name, reason=pb.UnknownCell.REASON_EMPTY_CELL, value=1.5)
    answer = pb.ExplainResponse(
        id="7" * 36,
        model="m",
        version=1,
        columns=names,
        explained=_matrix(rows, len(outputs)),
        baseline=_matrix(rows, len(outputs)),
        contributions=[pb.Contributions(output=each, values=_matrix(rows, len(names))) for each in outputs],
        ground=ground,
        queue_seconds=0.5,
        compute_seconds=0.5,
    )
    return answer.ByteSize()


def _infer_bytes(manifest: ModelManifest, rows: int) -> int:
    """Of a ModelInferResponse with contributions, baseline, the answers and unknown ground."""
    columns, outputs = len(manifest.features), len(manifest.targets)
    raw = [bytes(4 * rows * outputs * columns), *[bytes(4 * rows * outputs)] * 2, bytes(rows * columns)]
    return ModelInferResponse(model_name="m", model_version="1", raw_output_contents=raw).ByteSize()


@pytest.mark.parametrize("max_message_bytes", [2**16, 2**20, 2**24])
@pytest.mark.parametrize(
    ("columns", "outputs", "characters"),
    [(1, 1, 6), (4, 3, 6), (784, 10, 10), (784, 10, 6), (1000, 1, 60), (40, 2, 120)],
)
def test_so_many_rows_fit(columns: int, outputs: int, characters: int, max_message_bytes: int) -> None:
    """With long names and every cell unknown, in both protocols; large messages are used for three quarters."""
    manifest = _manifest(columns, outputs, characters)
    rows = most_explained_rows(manifest, max_message_bytes)
    if rows:
        assert _answer_bytes(manifest, rows) <= max_message_bytes
        assert _infer_bytes(manifest, rows) <= max_message_bytes
    if max_message_bytes == 2**24 and columns >= 40:
        assert _answer_bytes(manifest, rows) > 0.75 * max_message_bytes


def test_names_that_fill_a_message_leave_no_row() -> None:
    """Zero, and never fewer."""
    assert most_explained_rows(_manifest(1000, 10, 500), 2**16) == 0

"""One block of rows in a stream: how it is encoded, and for which version."""

from dataclasses import dataclass
from typing import Final

from kan_api.v1 import manifest_pb2, prediction_pb2
from service.client.encoding.other_words import OtherWords
from service.client.errors import InvalidInput
from service.client.limits import widest
from service.client.streaming.chunks import predict_request
from service.client.streaming.conversation import CallerRows, Conversation, RowsLike, encode_rows, read_rows


@dataclass(eq=False)
class Block:
    """One block of rows in flight.

    Attributes:
        caller_rows: The rows as the caller gave them.
        request: The rows as they are sent.
        encoded_for: The manifest of the version that they are encoded for.
        other_cells: Cells that are taken as "other".
        fresh_starts: How often the block was predicted again because of another version.
    """

    caller_rows: CallerRows
    request: prediction_pb2.PredictRequest
    encoded_for: manifest_pb2.ModelManifest
    other_cells: int = 0
    fresh_starts: int = 0

    @property
    def id(self) -> str:
        """The number of the block as text, counted from 0."""
        return self.request.id

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.request.features.rows


class BlockEncoder:
    """Encodes the blocks of one stream.

    Args:
        conversation: knows how many rows the server takes in one request.
        model: its name.
        version: as of :class:`service.client.streaming.block_stream.BlockStream`.
        bulk: whether the server computes other rows first.
        report_ground: whether the answers tell unknown cells.
    """

    def __init__(
        self, conversation: Conversation, model: str, version: int | None, bulk: bool, report_ground: bool = False
    ) -> None:
        self._conversation: Final = conversation
        self._model: Final = model
        self._version: Final = version
        self._bulk: Final = bulk
        self._report_ground: Final = report_ground

    def encode(self, number: int, rows: RowsLike, manifest: manifest_pb2.ModelManifest) -> Block:
        """The block of that number, encoded for the version of that manifest.

        Raises:
            InvalidInput: when the rows do not fit the model, or are more than one request may hold.
        """
        try:
            caller_rows = read_rows(rows)
            others = OtherWords()
            matrix = encode_rows(manifest, caller_rows, others)
        except InvalidInput as error:
            raise InvalidInput(f"block {number}: {error}") from error
        most = self._conversation.limits.most_rows(max(matrix.shape[1], widest(manifest)))
        if len(matrix) > most:
            raise InvalidInput(f"block {number} has {len(matrix)} rows, wanted at most {most} of {matrix.shape[1]}")
        request = predict_request(self._model, matrix, self._version or 0, self._bulk, self._report_ground)
        request.id = str(number)
        return Block(caller_rows, request, manifest, others.cells)

"""How much a server takes at once, as GetModel tells it."""

from dataclasses import dataclass
from typing import Final, Self

from kan_api.v1 import prediction_pb2
from kan_api.v1.manifest_pb2 import ModelManifest

# What servers take unless they are told otherwise; those of an older version do not say.
MAX_REQUEST_ROWS: Final = 4096
MAX_MESSAGE_BYTES: Final = 2**24

# Names, lengths and tags around the numbers of a message.
_ENVELOPE_BYTES = 2**14


@dataclass(frozen=True)
class Limits:
    """Bounds of one server, and of those that answer alike.

    request_rows         most rows that one request may bring
    message_bytes        largest message, either way
    shared_request_rows  rows that each request of many should bring, so that those of several callers fit beside
                         each other
    """

    request_rows: int = MAX_REQUEST_ROWS
    message_bytes: int = MAX_MESSAGE_BYTES
    shared_request_rows: int = MAX_REQUEST_ROWS

    @classmethod
    def of(cls, answer: prediction_pb2.GetModelResponse) -> Self:
        """What an answer tells; the defaults where its server does not know the field."""
        if not answer.HasField("limits"):
            return cls()
        told = answer.limits
        return cls(
            told.max_request_rows or MAX_REQUEST_ROWS,
            told.max_message_bytes or MAX_MESSAGE_BYTES,
            told.shared_request_rows or told.max_request_rows or MAX_REQUEST_ROWS,
        )

    def most_rows(self, columns: int) -> int:
        """How many rows of so many numbers one message may hold, the question or its answer."""
        envelope_bytes = min(_ENVELOPE_BYTES, self.message_bytes // 2)
        return max(1, min(self.request_rows, (self.message_bytes - envelope_bytes) // (4 * max(1, columns))))

    def shared_rows(self, columns: int) -> int:
        """How many rows of so many numbers each request of many should hold."""
        return min(self.shared_request_rows, self.most_rows(columns))


def widest(manifest: ModelManifest) -> int:
    """Numbers a row, in the question or in its answer, whichever has more."""
    outputs = sum(max(1, int(output.shape[-1])) for output in manifest.outputs if output.shape)
    return max(len(manifest.features), outputs)

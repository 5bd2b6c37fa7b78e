"""How many rows and bytes a server takes in one request, as its GetModel answers."""

from dataclasses import dataclass
from typing import Final, Self

from kan_api.v1 import prediction_pb2
from kan_api.v1.manifest_pb2 import ModelManifest

# The defaults of a server's settings. A server of an older version does not send its limits.
MAX_REQUEST_ROWS: Final = 4096
MAX_MESSAGE_BYTES: Final = 2**24

# Names, lengths and tags around the numbers of a message.
_ENVELOPE_BYTES = 2**14


@dataclass(frozen=True)
class Limits:
    """Limits of one server, or of several equal servers.

    request_rows         most rows in one request
    message_bytes        largest message, request or answer
    shared_request_rows  recommended rows a request if a table takes several requests, so that the requests of several
                         callers fit into the queue together
    """

    request_rows: int = MAX_REQUEST_ROWS
    message_bytes: int = MAX_MESSAGE_BYTES
    shared_request_rows: int = MAX_REQUEST_ROWS

    @classmethod
    def of(cls, answer: prediction_pb2.GetModelResponse) -> Self:
        """The limits in an answer; the defaults if the server does not send them."""
        if not answer.HasField("limits"):
            return cls()
        told = answer.limits
        return cls(
            told.max_request_rows or MAX_REQUEST_ROWS,
            told.max_message_bytes or MAX_MESSAGE_BYTES,
            told.shared_request_rows or told.max_request_rows or MAX_REQUEST_ROWS,
        )

    def most_rows(self, columns: int) -> int:
        """Most rows of `columns` numbers that fit into one message, request or answer."""
        envelope_bytes = min(_ENVELOPE_BYTES, self.message_bytes // 2)
        return max(1, min(self.request_rows, (self.message_bytes - envelope_bytes) // (4 * max(1, columns))))

    def shared_rows(self, columns: int) -> int:
        """Recommended rows of `columns` numbers for each request, if a table takes several requests."""
        return min(self.shared_request_rows, self.most_rows(columns))


def widest(manifest: ModelManifest) -> int:
    """Numbers in one row of the request or of the answer, whichever has more."""
    outputs = sum(max(1, int(output.shape[-1])) for output in manifest.outputs if output.shape)
    return max(len(manifest.features), outputs)

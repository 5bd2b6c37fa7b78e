"""How many rows the runs, the queue and the requests of one model take."""

from dataclasses import dataclass
from typing import Self

from service.settings import ModelTable, Settings

# As many requests of one size fit into a queue: those of eight callers into the half that bulk rows may fill.
_REQUESTS_A_QUEUE = 16


@dataclass(frozen=True)
class RowLimits:
    """Most rows of one model.

    Attributes:
        batch_rows: Of one run.
        queue_rows: That may wait.
        request_rows: Of one request; more could never wait.
        shared_request_rows: Of one request where there are many callers, as clients are told.
    """

    batch_rows: int
    queue_rows: int
    request_rows: int
    shared_request_rows: int

    @classmethod
    def of(cls, own: Settings, table: ModelTable, batch_rows: int, features: int) -> Self:
        """The limits of a model.

        Args:
            own: The settings by which it runs.
            table: What it has of its own.
            batch_rows: Most rows of one run, as its warm-up chose.
            features: Numbers of a row; each takes 4 bytes of the queue.
        """
        queue_rows = own.max_queue_rows
        if table.max_queue_bytes is not None:
            queue_rows = max(1, min(queue_rows, table.max_queue_bytes // (4 * features)))
        request_rows = min(own.max_request_rows, queue_rows)
        shared_rows = max(1, min(request_rows, own.max_batch_rows, queue_rows // _REQUESTS_A_QUEUE))
        return cls(batch_rows, queue_rows, request_rows, shared_rows)

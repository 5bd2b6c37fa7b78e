"""Splits the outputs of one run over the requests of its batch; says why there are none.

Example: a batch holds 2 rows of one request and 5 of another; the first gets rows 0 and 1 of each output.
"""

from collections.abc import Sequence

import numpy as np

from service.batching.request import Outputs, Part, Result, Rows
from service.errors import InferenceFailed


def deliver(batch: Sequence[Part], outputs: Outputs, batch_seconds: float) -> None:
    """Split outputs over the requests of a batch; those that are complete get their result, if they still listen."""
    offset = 0
    for request, start, stop in batch:
        rows = stop - start
        block = outputs if len(batch) == 1 else [output[offset : offset + rows] for output in outputs]
        offset += rows
        request.compute_seconds += batch_seconds
        if rows < len(request.rows):
            request.blocks.append(block)
            if stop < len(request.rows):
                continue
            block = [np.concatenate(pieces) for pieces in zip(*request.blocks, strict=True)]
        if not request.future.done():
            request.future.set_result(Result(tuple(block), request.queue_seconds, request.compute_seconds))


def check_lengths(outputs: Outputs, rows: int) -> Outputs:
    """Return the outputs unchanged, if they can be split.

    Raises:
        ValueError: an output has another number of rows than the run.
    """
    for output in outputs:
        if len(output) != rows:
            raise ValueError(f"the model gave {len(output)} rows for {rows}")
    return outputs


def run_failure(cause: BaseException) -> InferenceFailed:
    """What each caller of a failed run is told; an error of its own, since each raises it."""
    error = InferenceFailed(f"the run that held these rows failed: {cause!r}")
    error.__cause__ = cause
    return error


def refuse_closed(rows: Rows) -> Outputs:
    """Stands in the place of the run of a batcher that is closed."""
    raise RuntimeError(f"{len(rows)} rows for a batcher that is closed")

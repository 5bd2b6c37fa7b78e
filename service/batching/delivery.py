"""Splits the outputs of one run over the requests of its batch; says why there are none.

Example: a batch holds 2 rows of one request and 5 of another; the first gets rows 0 and 1 of each output.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from service.batching.request import Follower, Outputs, Part, Request, Result, Rows, Run
from service.errors import InferenceFailed


def rows_of(batch: Sequence[Part]) -> int:
    """The rows of a batch."""
    return sum(stop - start for _, start, stop in batch)


def end_batch(
    batch: Sequence[Part],
    outcome: Outputs | Exception,
    started: float,
    seconds: float,
    fail: Callable[[Iterable[Request], BaseException], None],
) -> None:
    """Give each request of a batch its rows, or the error, and tell its followers.

    Args:
        batch: What ran.
        outcome: Of the run.
        started: When the run began.
        seconds: Its duration.
        fail: Fails requests.
    """
    tell_followers([part.request.follower for part in batch], started, seconds, rows_of(batch))
    if isinstance(outcome, Exception):
        fail((part.request for part in batch), outcome)
    else:
        deliver(batch, outcome, seconds)


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


def tell_followers(followers: Sequence[Follower | None], started: float, seconds: float, rows: int) -> None:
    """Tell those who follow requests of a batch of its run.

    Args:
        followers: Of each request of the batch; None where nobody follows it.
        started: When the run began.
        seconds: Its duration.
        rows: Rows of the batch.
    """
    told = tuple(follower for follower in followers if follower is not None)
    if told:
        run = Run(started, seconds, rows, len(followers), told)
        for follower in told:
            follower.ran(run)


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

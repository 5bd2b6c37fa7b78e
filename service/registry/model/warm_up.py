"""How many rows a run takes, and whether runs are short enough for the event loop: measured before requests come."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kan_api.v1.manifest_pb2 import ModelManifest
from service.batching.placement import INLINE_SECONDS, NOISE
from service.batching.request import Rows

# To stay on the event loop, a model may take fewer rows a run, but not fewer than this.
_FEWEST_INLINE_ROWS = 64
# How often fewer rows are tried, and the part of the rows that the next try has at most.
_MOST_TRIES, _LESS = 3, 7 / 8
_MOST_RUNS = 3


@dataclass(frozen=True)
class RunSize:
    """The size of the runs of one session.

    Attributes:
        max_batch_rows: Most rows of a run.
        is_inline: Whether runs of that size are short enough for the event loop.
    """

    max_batch_rows: int
    is_inline: bool

    @property
    def inline_rows(self) -> int:
        """Most rows of a run on the event loop; 0: none."""
        return self.max_batch_rows if self.is_inline else 0


def size_of_runs(
    run: Callable[[Rows], object], row: Rows, max_batch_rows: int, clock: Callable[[], float] = time.monotonic
) -> RunSize:
    """Run one row and full batches, and choose the size of the runs by the time of the fastest full batch.

    Args:
        run: Computes rows. What it raises ends the warm-up.
        row: [1, columns], a row of usual values.
        max_batch_rows: Most rows of a run that other bounds allow.
        clock: Monotonic seconds.
    """
    rows, seconds = max_batch_rows, _warm_up(run, row, max_batch_rows, clock)
    if seconds <= INLINE_SECONDS:
        return RunSize(max_batch_rows, is_inline=True)
    for _ in range(_MOST_TRIES):
        # At least an eighth less each time: other work on the machine may have slowed the last try.
        rows = int(rows * min(INLINE_SECONDS / seconds, _LESS))
        if rows < _FEWEST_INLINE_ROWS:
            break
        seconds = _warm_up(run, row, rows, clock)
        if seconds <= INLINE_SECONDS * NOISE:
            return RunSize(rows, is_inline=True)
    return RunSize(max_batch_rows, is_inline=False)


def middle_row(manifest: ModelManifest) -> Rows:
    """The middle of the training data, float32 [1, features]."""
    with np.errstate(all="ignore"):
        middle = np.array([feature.low / 2 + feature.high / 2 for feature in manifest.features], np.float64)
        return np.nan_to_num(middle.astype(np.float32), posinf=0, neginf=0)[np.newaxis]


def _warm_up(run: Callable[[Rows], object], row: Rows, max_batch_rows: int, clock: Callable[[], float]) -> float:
    """Run one row and up to three full batches, until one is short enough; gives seconds of the fastest full batch."""
    run(row)
    batch, quickest_seconds = np.tile(row, (max_batch_rows, 1)), float("inf")
    for _ in range(_MOST_RUNS):
        began = clock()
        run(batch)
        quickest_seconds = min(quickest_seconds, clock() - began)
        if quickest_seconds <= INLINE_SECONDS:
            break
    return quickest_seconds

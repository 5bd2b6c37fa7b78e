"""Time graphs side by side."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from kan_model.onnx_runtime import Session, open_session

Rows32 = NDArray[np.float32]
# A larger batch is timed in blocks of the faster of these sizes: in larger blocks, temporaries do not fit the cache.
_BATCH_BLOCKS = (32, 128)
LARGEST_BLOCK = max(_BATCH_BLOCKS)
_FIRST_RUNS = 4
_REPEATS = 15
_SECONDS_PER_REPEAT = 5e-4
# A graph this many times slower than the fastest in the first runs is not timed further.
_HOPELESS = 3.0
_BLOCKS = (16, 32, 64, 128, 256, 512, 1024)
# A larger block must save this share of the time per row, because small blocks need less memory and less waiting.
_GAIN = 0.03
# A server's own time per run, beside the session's: it gathers rows, splits answers and wakes callers.
_SECONDS_BESIDE = 50e-6


def seconds_by_rows(models: Sequence[onnx.ModelProto], rows: Rows32, counts: Sequence[int]) -> list[dict[int, float]]:
    """Seconds per model and number of rows, on one thread: the fastest of interleaved repeats.

    Args:
        models: The graphs, all with the same input.
        rows: ``[LARGEST_BLOCK, inputs]``, similar to the rows that will be served.
        counts: Batch sizes in rows; more than 128 rows are timed in blocks of 32 or 128.

    Returns:
        For each model: seconds by number of rows.
    """
    sessions = [open_session(model) for model in models]
    result: list[dict[int, float]] = [{} for _ in models]
    for count in counts:
        for block in (count,) if count <= LARGEST_BLOCK else _BATCH_BLOCKS:
            feed = np.ascontiguousarray(rows[:block])
            for measured, seconds in zip(result, _race(sessions, [feed] * len(sessions)), strict=True):
                measured[count] = min(measured.get(count, np.inf), seconds * count / block)
    return result


def preferred_rows(model: onnx.ModelProto, rows: Rows32) -> int:
    """The number of rows per run, up to 1024, at which a row takes the least time.

    Of sizes within 3 % of the best it is the smallest.

    Args:
        model: The graph.
        rows: ``[1024, inputs]``, similar to the rows that will be served.
    """
    session = open_session(model)
    seconds = _race([session] * len(_BLOCKS), [np.ascontiguousarray(rows[:block]) for block in _BLOCKS])
    return cheapest_block(dict(zip(_BLOCKS, seconds, strict=True)))


def cheapest_block(seconds: Mapping[int, float]) -> int:
    """The block size at which a row takes the least time; of sizes within 3 % of the best the smallest.

    Args:
        seconds: Time of one run, by its number of rows.
    """
    by_row = {block: (each + _SECONDS_BESIDE) / block for block, each in seconds.items()}
    best = min(by_row.values())
    return min(block for block, each in by_row.items() if each <= best * (1 + _GAIN))


def _race(sessions: Sequence[Session], feeds: Sequence[Rows32]) -> list[float]:
    """Seconds of one run of each session. The repeats take turns, so that all get the same noise of the machine."""
    # The first runs allocate memory, so the fastest of a few counts.
    best = [min(_seconds(*each, 1) for _ in range(_FIRST_RUNS)) for each in zip(sessions, feeds, strict=True)]
    by_row = [seconds / len(feed) for seconds, feed in zip(best, feeds, strict=True)]
    running = [i for i, seconds in enumerate(by_row) if seconds <= _HOPELESS * min(by_row) or len(feeds[i]) == 1]
    runs = [max(1, round(_SECONDS_PER_REPEAT / seconds)) for seconds in best]
    for _ in range(_REPEATS):
        for i in running:
            best[i] = min(best[i], _seconds(sessions[i], feeds[i], runs[i]))
    return best


def _seconds(session: Session, feed: Rows32, runs: int) -> float:
    start = time.perf_counter()
    for _ in range(runs):
        session.run(feed)
    return (time.perf_counter() - start) / runs

"""The size of runs, chosen by measured times. Time passes as the run says."""

from collections.abc import Callable

import numpy as np
import pytest

from kan_api.v1.manifest_pb2 import ModelManifest
from service.batching.request import Rows
from service.registry.model.warm_up import RunSize, middle_row, size_of_runs
from tests.kit.clock import Clock

_ROW = np.zeros((1, 3), np.float32)


def _runs(seconds: Callable[[int, int], float]) -> tuple[RunSize, list[int]]:
    """The size for runs of at most 512 rows that take so long, and the rows of each run.

    Args:
        seconds: From the number of the run and its rows.
    """
    clock, seen = Clock(), list[int]()

    def run(rows: Rows) -> None:
        clock.now += seconds(len(seen), len(rows))
        seen.append(len(rows))

    return size_of_runs(run, _ROW, 512, clock), seen


@pytest.mark.parametrize(
    ("row_seconds", "size"),
    [
        (1e-6, RunSize(512, is_inline=True)),
        # 5 ms for 512 rows: 204 rows take 2 ms.
        (1e-2 / 1024, RunSize(204, is_inline=True)),
        # 2 ms are for fewer than 64 rows: a thread takes full batches.
        (1e-4, RunSize(512, is_inline=False)),
    ],
)
def test_a_run_on_the_event_loop_takes_two_milliseconds(row_seconds: float, size: RunSize) -> None:
    """A fast model runs full batches there, a slower one fewer rows, and a slow one in a thread."""
    assert _runs(lambda _, rows: rows * row_seconds)[0] == size


def test_a_try_that_other_work_slowed_is_repeated_with_fewer_rows() -> None:
    """Where the first smaller try takes too long, the next one decides; the third is the last."""
    found, seen = _runs(lambda run, rows: 0.003 if run < 8 else rows * 1e-6)
    assert found.is_inline
    assert 64 <= found.max_batch_rows < 341
    assert seen[:5] == [1, 512, 512, 512, 1]
    never, seen = _runs(lambda _, rows: 0.0021 + 1e-3 * (rows > 1))
    assert never == RunSize(512, is_inline=False)
    assert len(seen) == 16


def test_a_short_run_is_tried_once() -> None:
    """A cold model of a call that waits should answer soon."""
    assert _runs(lambda *_: 1e-3) == (RunSize(512, is_inline=True), [1, 512])


def test_the_fastest_of_three_counts() -> None:
    """Two slow runs of a full batch mean nothing: something else ran meanwhile."""
    assert _runs(lambda run, _: 1e-4 if run == 2 else 0.1)[0] == RunSize(512, is_inline=True)


def test_the_middle_row_is_finite() -> None:
    """Half of low and high, also where their sum is not finite; 0 where float32 has no such number."""
    manifest = ModelManifest()
    manifest.features.add(low=-1, high=3)
    manifest.features.add(low=1e308, high=1e308)
    manifest.features.add(low=float("-inf"), high=1)
    np.testing.assert_array_equal(middle_row(manifest), [[1, 0, 0]])

"""Counts of served rows: none is lost or counted twice, whoever reads meanwhile, and nothing fails a request."""

import logging
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import entropy

from kan_api.v1 import manifest_pb2 as pb
from service.metrics.drift.cells import Counted
from service.metrics.drift.served_rows import ServedRows, stability_index
from tests.kit.models.training_rows import manifest_of

Rows = NDArray[np.float32]
TRAINING = np.random.default_rng(0).normal(size=(2000, 3))
MANIFEST = manifest_of(TRAINING, TRAINING[:, :2])


def served_rows(manifest: pb.ModelManifest = MANIFEST) -> ServedRows:
    """Counts of a version with three columns and two outputs."""
    found = ServedRows.of(manifest)
    assert found is not None
    return found


def random_rows(rows: int, seed: int = 1, shift: float = 0.0) -> Rows:
    """Rows as in training, or shifted."""
    return (np.random.default_rng(seed).normal(size=(rows, 3)) + shift).astype(np.float32)


def counts(served: ServedRows) -> list[list[int]]:
    """By column or output, and cell."""
    columns, answers = served.read()
    return [each.rows.tolist() for each in (*columns, *answers)]


@pytest.mark.parametrize("block", [1, 7, 512, 4096])
def test_every_row_is_counted_once(block: int) -> None:
    """Runs of any size give the counts of all rows at once; answers are counted as columns are, and may be missing."""
    rows, apart, together = random_rows(5000), served_rows(), served_rows()
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        apart.keep(part, part[:, :2])
    together.keep(rows, rows[:, :2])
    assert counts(apart) == counts(together)
    assert all(sum(each) == len(rows) for each in counts(apart))
    assert [[*each, 0] for each in counts(apart)[:2]] == counts(apart)[3:]


def test_a_scrape_sees_rows_at_once() -> None:
    """Also fewer than are counted together."""
    served = served_rows()
    served.keep(random_rows(3), random_rows(3)[:, :2])
    assert sum(counts(served)[0]) == 3


def test_counts_of_replicas_add_up() -> None:
    """Two halves of a stream give the counts of the whole."""
    rows, halves, whole = random_rows(3000), [served_rows(), served_rows()], served_rows()
    whole.keep(rows, rows[:, :2])
    for served, part in zip(halves, (rows[:1100], rows[1100:]), strict=True):
        served.keep(part, part[:, :2])
    first, second = map(counts, halves)
    added = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(first, second, strict=True)]
    assert added == counts(whole)


def test_scrapes_in_other_threads_lose_nothing() -> None:
    """Two threads read without a pause while a third keeps 40,000 rows."""
    served, done = served_rows(), threading.Event()

    def read() -> None:
        while not done.is_set():
            served.read()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(8000):
        rows = random_rows(5, number)
        served.keep(rows, rows[:, :2])
    done.set()
    for thread in threads:
        thread.join()
    assert all(sum(each) == 40_000 for each in counts(served))


def test_two_threads_that_keep_at_once_lose_nothing() -> None:
    """While one run is being kept, that of the model in its place is kept in another thread: both count as kept."""
    served = served_rows()

    class Rows(np.ndarray[Any, Any]):
        """Rows during whose keeping other rows are kept."""

        calls = 0

        def __len__(self) -> int:
            self.calls += 1
            other = threading.Thread(target=served.keep, args=(random_rows(5), random_rows(5)[:, :2]))
            other.start()
            other.join()
            return 5

    rows = random_rows(5).view(Rows)
    served.keep(rows, random_rows(5)[:, :2])
    kept = 5 + 5 * rows.calls
    assert served._kept_rows == kept
    assert sum(counts(served)[0]) == kept


def test_few_rows_are_kept() -> None:
    """Once the cells are built, at most 1,024 rows wait without a scrape, and fewer of a wide model."""
    served, rows = served_rows(), random_rows(1)
    served.read()
    for _ in range(10_000):
        served.keep(rows, rows[:, :2])
        assert len(served._kept) <= 1024
    wide = np.random.default_rng(0).normal(size=(50, 5000))
    served = served_rows(manifest_of(wide, wide[:, :1]))
    served.read()
    for _ in range(200):
        served.keep(wide[:1].astype(np.float32), wide[:1, :1].astype(np.float32))
        assert len(served._kept) <= 52


def test_the_index_is_the_symmetric_divergence() -> None:
    """KL(p, q) + KL(q, p) by SciPy, where no share is below one in a thousand; 0 where shares are equal."""
    p, q = np.array([10, 20, 30, 40]), np.array([0.3, 0.3, 0.2, 0.2])
    assert stability_index(p, q) == pytest.approx(entropy(p / 100, q) + entropy(q, p / 100))
    assert stability_index(p, p / 100) == 0
    assert np.isfinite(stability_index(np.array([1000, 0]), np.array([0.999, 0.001])))


def test_an_index_comes_from_1000_rows_on_and_forgets_old_rows() -> None:
    """It is small for rows as in training, near 1 for a shift by one deviation, and small again when that has ended."""
    served = served_rows()
    served.keep(random_rows(999), random_rows(999)[:, :2])
    assert [each.index for each in served.read()[0]] == [None] * 3
    served.keep(random_rows(1), random_rows(1)[:, :2])
    first = [each.index for each in served.read()[0]]
    assert all(index is not None and 0 <= index < 0.05 for index in first)

    def after(shift: float) -> list[float | None]:
        for seed in range(13):
            rows = random_rows(1000, seed, shift)
            served.keep(rows, rows[:, :2])
        columns, answers = served.read()
        return [each.index for each in (*columns, *answers)]

    # For two normal distributions one deviation apart the divergence is exactly 1; cells lose some of it.
    assert all(index is not None and 0.7 < index < 1.2 for index in after(1.0))
    assert all(index is not None and index < 0.02 for index in after(0.0))


def test_a_run_of_the_wrong_length_is_not_counted() -> None:
    """Its requests fail."""
    served = served_rows()
    served.keep(random_rows(3), random_rows(2)[:, :2])
    assert sum(counts(served)[0]) == 0


def test_an_error_stops_the_counting_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """One line in the log; predictions and scrapes go on, the counts stand still, and nothing is kept any more."""

    def fail(_: Rows) -> NDArray[np.int64]:
        raise ArithmeticError("no cell")

    served = ServedRows(lambda: ((Counted("c", ("a", "b"), None, fail),), ()), 4, MANIFEST)
    served.read()
    with caplog.at_level(logging.ERROR):
        for _ in range(3000):
            served.keep(random_rows(1), random_rows(1)[:, :2])
    assert [record.getMessage() for record in caplog.records] == [
        "served rows can no longer be counted; predictions go on"
    ]
    assert counts(served) == [[0, 0]]
    assert len(served._kept) == 0


def test_a_manifest_without_training_rows_counts_nothing() -> None:
    """There is no object that could."""
    manifest = pb.ModelManifest()
    manifest.CopyFrom(MANIFEST)
    for feature in manifest.features:
        feature.ClearField("histogram")
    del manifest.answers[:]
    assert ServedRows.of(manifest) is None

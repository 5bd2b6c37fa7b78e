"""What an answer costs: our graph in turn with LightGBM's predict and its trees in onnxruntime, on one thread.

The times of one table and split are kept as a cell of their own, whose method is named `NAME`.
"""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.sessions import Rows, caller, open_session
from benchmarks.common.timing import interleave
from benchmarks.tables.cells import Cell, Cells, key_of, today
from benchmarks.tables.kept import Kept
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.tasks import TIMED, Task

NAME = "answers"
ROWS = (1, 1024)
_SECONDS, _MIN_ROUNDS = 0.3, 5
# What fits leave in their folders (methods.ours.tidy, methods.peers.fit_lightgbm).
_OUR_GRAPH, _BOOSTER = "model.onnx", "lightgbm.txt"


@dataclass(frozen=True)
class Served:
    """Microseconds of processor time a call, medians, by the number of rows (1 and 1,024).

    Attributes:
        ours: Our model.onnx in a bare session.
        lightgbm: `Booster.predict` of LightGBM with one thread.
        compiled: LightGBM's trees, translated by onnxmltools, in a bare session; NaN where it cannot translate them.
    """

    ours: dict[int, float]
    lightgbm: dict[int, float]
    compiled: dict[int, float]

    @property
    def scores(self) -> dict[str, float]:
        """The times by names such as "ours 1024", as a cell has them; without those that are NaN."""
        times = {f"{name} {rows}": us for name, by_rows in asdict(self).items() for rows, us in by_rows.items()}
        return {name: us for name, us in times.items() if not math.isnan(us)}

    @classmethod
    def of(cls, scores: dict[str, float]) -> "Served":
        """Read `scores` back."""
        return cls(*({rows: scores.get(f"{name} {rows}", math.nan) for rows in ROWS} for name in cls.__annotations__))


@dataclass(frozen=True)
class Pair:
    """Our fit and LightGBM's on the same rows.

    Attributes:
        ours: Our task.
        peer: LightGBM's.
    """

    ours: Task
    peer: Task

    @property
    def place(self) -> tuple[str, int, str]:
        """Table, split and NAME."""
        return (*self.ours.place[:2], NAME)

    @property
    def rows(self) -> str:
        """The fingerprint of the rows."""
        return self.ours.rows

    @property
    def identity(self) -> str:
        """Names what answers: our code and the peer's packages."""
        return f"{self.ours.identity} {self.peer.identity}"

    @property
    def key(self) -> str:
        """Names all that may change the times, save the machine."""
        return key_of([self.rows, self.identity])


def pairs_of(tasks: Sequence[Task]) -> Iterator[Pair]:
    """The pairs among the tasks."""
    by_place = {task.place: task for task in tasks}
    for (name, number, method), task in by_place.items():
        peer = by_place.get((name, number, TIMED))
        if method == OURS and peer is not None:
            yield Pair(task, peer)


def find_served(tasks: Sequence[Task], cells: Cells, kept: Kept) -> dict[tuple[str, int], Served]:
    """The times that were measured before, by table and split: those of the cache, else kept ones."""
    found = {}
    for pair in pairs_of(tasks):
        cell = cells.load(*pair.place, pair.key) or kept.find(*pair.place, pair.rows, pair.identity)
        if cell is not None:
            found[pair.place[:2]] = Served.of(cell.scores)
    return found


def time_served(tasks: Sequence[Task], cells: Cells, kept: Kept) -> dict[tuple[str, int], Served]:
    """The times that were measured before, and those of all other pairs whose models are there, measured now."""
    found = find_served(tasks, cells, kept)
    for pair in pairs_of(tasks):
        folders = [cells.folder_of(*task.place, task.key) for task in (pair.ours, pair.peer)]
        if pair.place[:2] in found or not all(has_model(folder) for folder in folders):
            continue
        try:
            served = time_answers(*folders)
        # A graph that does not run ends no run of many hours; the notes name its table.
        except Exception as error:
            print(f"{folders[0]}: answers not timed: {error!r}", file=sys.stderr)
            continue
        found[pair.place[:2]] = served
        cells.store(Cell(*pair.place, "done", served.scores, date=today()), pair.key)
    return found


def has_model(folder: Path) -> bool:
    """Whether a fit left its model there, ours or LightGBM's."""
    return any((folder / name).exists() for name in (_OUR_GRAPH, _BOOSTER))


def time_answers(ours: Path, lightgbm: Path) -> Served:
    """Time the models that one split of a table left.

    Args:
        ours: The folder with our model.onnx and manifest.json.
        lightgbm: The folder with LightGBM's lightgbm.txt and 1,024 of its test rows.
    """
    booster, rows = _open_booster(lightgbm)
    session = open_session((ours / _OUR_GRAPH).read_bytes())
    translated = _translate(booster, rows.shape[1])
    compiled = None if translated is None else open_session(translated)
    manifest = json.loads((ours / "manifest.json").read_text(encoding="utf-8"))
    block_rows = int(manifest.get("preferred_rows", 0)) or max(ROWS)
    inside = _rows_inside(manifest, max(ROWS))
    found = Served({}, {}, {})
    for count in ROWS:
        asked = rows[:count]
        calls: list[Callable[[], object]] = [
            caller(session, (inside[:count],), block_rows),
            partial(booster.predict, asked, num_threads=1),
        ]
        if compiled is not None:
            calls.append(caller(compiled, (asked.astype(np.float32),), count))
        us = [1e6 * timing.median for timing in interleave(calls, _SECONDS, _MIN_ROUNDS)]
        found.ours[count], found.lightgbm[count], found.compiled[count] = (*us, math.nan)[:3]
    return found


def _open_booster(folder: Path) -> tuple[Any, Any]:
    import lightgbm

    return lightgbm.Booster(model_file=folder / _BOOSTER), np.load(folder / "lightgbm_rows.npy")


def _translate(booster: Any, columns: int) -> bytes | None:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    kind = [("features", FloatTensorType([None, columns]))]
    try:
        translated: bytes = onnxmltools.convert_lightgbm(booster, initial_types=kind, zipmap=False).SerializeToString()
    # It raises many kinds; after hours of fits none may end the run.
    except Exception as error:
        print(f"onnxmltools does not translate {booster}: {error}", file=sys.stderr)
        return None
    return translated


def _rows_inside(manifest: dict[str, Any], count: int) -> Rows:
    """Rows between each feature's bounds: our graph takes as long for any of them."""
    features = manifest["features"]
    low, high = (np.array([float(each.get(end, 0.0)) for each in features]) for end in ("low", "high"))
    random = np.random.default_rng(0).random((count, len(features)))
    return np.asarray(low + (high - low) * random, dtype=np.float32)

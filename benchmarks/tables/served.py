"""What an answer costs: our graph in turn with LightGBM's predict and its trees in onnxruntime, on one thread."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.sessions import Rows, caller, open_session
from benchmarks.common.timing import interleave

ROWS = (1, 1024)
_SECONDS, _MIN_ROUNDS = 0.3, 5


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


def time_answers(ours: Path, lightgbm: Path) -> Served:
    """Time the models that one split of a table left.

    Args:
        ours: The folder with our model.onnx and manifest.json.
        lightgbm: The folder with LightGBM's lightgbm.txt and 1,024 of its test rows.
    """
    booster, rows = _open_booster(lightgbm)
    session = open_session((ours / "model.onnx").read_bytes())
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

    return lightgbm.Booster(model_file=folder / "lightgbm.txt"), np.load(folder / "lightgbm_rows.npy")


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

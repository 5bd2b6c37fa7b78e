"""What an answer costs: our graph in turn with LightGBM's predict and its trees in onnxruntime, on one thread."""

import json
from dataclasses import dataclass
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
        compiled: LightGBM's trees, translated by onnxmltools, in a bare session.
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
    compiled = open_session(_translate(booster, rows.shape[1]))
    manifest = json.loads((ours / "manifest.json").read_text(encoding="utf-8"))
    block_rows = int(manifest.get("preferred_rows", 0)) or max(ROWS)
    inside = _rows_inside(manifest, max(ROWS))
    found = Served({}, {}, {})
    for count in ROWS:
        asked = rows[:count]
        calls = (
            caller(session, (inside[:count],), block_rows),
            lambda asked=asked: booster.predict(asked, num_threads=1),
            caller(compiled, (asked.astype(np.float32),), count),
        )
        timings = interleave(calls, _SECONDS, _MIN_ROUNDS)
        for method, timing in zip((found.ours, found.lightgbm, found.compiled), timings, strict=True):
            method[count] = 1e6 * timing.median
    return found


def _open_booster(folder: Path) -> tuple[Any, Any]:
    import lightgbm

    return lightgbm.Booster(model_file=folder / "lightgbm.txt"), np.load(folder / "lightgbm_rows.npy")


def _translate(booster: Any, columns: int) -> bytes:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    kind = [("features", FloatTensorType([None, columns]))]
    translated: bytes = onnxmltools.convert_lightgbm(booster, initial_types=kind, zipmap=False).SerializeToString()
    return translated


def _rows_inside(manifest: dict[str, Any], count: int) -> Rows:
    """Rows between each feature's bounds: our graph takes as long for any of them."""
    features = manifest["features"]
    low, high = (np.array([float(each.get(end, 0.0)) for each in features]) for end in ("low", "high"))
    random = np.random.default_rng(0).random((count, len(features)))
    return np.asarray(low + (high - low) * random, dtype=np.float32)

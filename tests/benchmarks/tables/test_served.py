"""Answers are timed on one thread, ours with the rows that its manifest allows."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tables.served import time_answers
from kan_model import KAN, KANConfig
from kan_model.lowering import lower


@pytest.mark.slow
def test_ours_and_lightgbm_are_timed_side_by_side(tmp_path: Path) -> None:
    """LightGBM on numbers and a column of words, with gaps, as itself and in onnxruntime."""
    lightgbm = pytest.importorskip("lightgbm", reason="only the extra [bench] has it")
    pytest.importorskip("onnxmltools", reason="only the extra [bench] has it")
    random = np.random.default_rng(0)
    rows = np.column_stack([random.random(1024), random.integers(9, size=1024)])
    rows[::7, 0] = np.nan
    model = lightgbm.LGBMRegressor(n_jobs=1, verbose=-1).fit(rows, random.random(1024), categorical_feature=[1])
    model.booster_.save_model(tmp_path / "lightgbm.txt")
    np.save(tmp_path / "lightgbm_rows.npy", rows)
    lowered = lower(KAN(KANConfig((2, 3, 1)), seed=0))
    (tmp_path / "model.onnx").write_bytes(lowered.model.SerializeToString())
    features = [{"low": -1.0, "high": 1.0}, {"low": 0.0, "high": 2.0}]
    (tmp_path / "manifest.json").write_text(json.dumps({"features": features, "preferred_rows": "512"}))
    found = time_answers(tmp_path, tmp_path)
    for times in (found.ours, found.lightgbm, found.compiled):
        assert times.keys() == {1, 1024}
        assert 0 < times[1] < times[1024]

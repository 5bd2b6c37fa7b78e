"""Answers are timed on one thread, ours with the rows that its manifest allows."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tables.cells import Cell, Cells
from benchmarks.tables.kept import Entry, Kept
from benchmarks.tables.served import NAME, Served, find_served, pairs_of, time_answers, time_served
from benchmarks.tables.splits import Split
from benchmarks.tables.tasks import plan
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


def test_times_read_back_from_a_cell(tmp_path: Path) -> None:
    """Also from its file, and where LightGBM's trees were not translated."""
    served = Served({1: 5.0, 1024: 100.0}, {1: 10.0, 1024: 1000.0}, {1: math.nan, 1024: math.nan})
    cells = Cells(tmp_path)
    cells.store(Cell("small", 0, NAME, "done", served.scores), "key")
    cell = cells.load("small", 0, NAME, "key")
    assert cell is not None
    assert "NaN" not in json.dumps(cell.scores)
    assert repr(Served.of(cell.scores)) == repr(served)


def test_times_are_found_where_they_were_measured(tmp_path: Path, split: Split) -> None:
    """In the cache, else among the kept ones; those of other code are not."""
    pytest.importorskip("lightgbm", reason="only the extra [bench] has it")
    cells, kept = Cells(tmp_path / "cells"), Kept(tmp_path / "measured")
    tasks = plan([split, replace(split, number=1)], ["ours", "LightGBM"], "code", cap_seconds=300)
    served = Served({1: 5.0, 1024: 100.0}, {1: 10.0, 1024: 1000.0}, {1: 4.0, 1024: 400.0})
    here, elsewhere = pairs_of(tasks)
    cells.store(Cell(*here.place, "done", served.scores), here.key)
    kept.keep([Entry(Cell(*elsewhere.place, "done", served.scores), elsewhere.rows, elsewhere.identity)])
    assert find_served(tasks, cells, kept) == {("small", 0): served, ("small", 1): served}
    changed = [replace(task, code="other") for task in tasks]
    assert find_served(changed, cells, kept) == {}
    assert time_served(changed, cells, kept) == {}

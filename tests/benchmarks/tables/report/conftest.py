"""Cells of one small table, and what is gathered from them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from benchmarks.tables.cells import Cell
from benchmarks.tables.report.findings import Findings, collect
from benchmarks.tables.served import Served
from benchmarks.tables.splits import Split

METHODS = ("ours", "EBM", "LightGBM")


@pytest.fixture
def make_cell() -> Callable[..., Cell]:
    """Takes method, error and number of the split; gives a fit of the table `small` that ended well in 20 s."""

    def make(method: str, error: float, number: int = 0) -> Cell:
        scores = {"error": error, "trivial": 1.0, "rmse": error, "mae": error}
        return Cell("small", number, method, "done", scores, fit_cpu_seconds=20.0, cap_seconds=300, date="2026-11-27")

    return make


@pytest.fixture
def gather(split: Split) -> Callable[[Sequence[Cell]], Findings]:
    """Takes cells of ours, EBM and LightGBM; the answers of split 0 are timed."""

    def collect_cells(cells: Sequence[Cell]) -> Findings:
        splits = [replace(split, number=number) for number in sorted({cell.split for cell in cells})]
        served = {("small", 0): Served({1: 5.0, 1024: 100.0}, {1: 10.0, 1024: 1000.0}, {1: 4.0, 1024: 400.0})}
        return collect(cells, splits, METHODS, served)

    return collect_cells

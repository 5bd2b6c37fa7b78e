"""Cells become tables of errors; what is left out is named."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.tables.cells import Cell
from benchmarks.tables.report.findings import Findings

MakeCell = Callable[..., Cell]
Gather = Callable[[Sequence[Cell]], Findings]


def test_a_table_that_lacks_a_cell_is_left_out(make_cell: MakeCell, gather: Gather) -> None:
    """Else a run that was stopped would rank two methods among three."""
    lacking = gather([make_cell("ours", 0.2), make_cell("EBM", 0.1)])
    assert not lacking.tables
    assert not lacking.served
    assert lacking.left_out == {"small": "no cells of LightGBM"}
    cells = [make_cell(method, 0.2, number) for method in ("ours", "EBM", "LightGBM") for number in (0, 1)]
    assert gather(cells).tables
    assert not gather(cells[:-1]).tables


def test_failed_fits_are_told_also_of_a_table_that_is_left_out(make_cell: MakeCell, gather: Gather) -> None:
    """Of several tables, one that fails must show."""
    failed = [replace(make_cell(method, 0.2), status="failed", scores={}) for method in ("ours", "EBM", "LightGBM")]
    findings = gather(failed)
    assert findings.left_out == {"small": "no fit of a split ended well"}
    assert findings.failed == failed

"""All that was measured, gathered by table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.tables.cells import Cell
from benchmarks.tables.compare import Measured
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.served import Served
from benchmarks.tables.sources import Source
from benchmarks.tables.splits import Split


@dataclass(frozen=True)
class Findings:
    """All that was measured.

    Attributes:
        tables: The errors, by table, of the tables that every method has cells for.
        methods: The methods that took part, ours first.
        cells: All cells.
        rows: The rows of each table.
        served: The times of answers, by table and split.
    """

    tables: Mapping[str, Measured]
    methods: Sequence[str]
    cells: Sequence[Cell]
    rows: Mapping[str, int]
    served: Mapping[tuple[str, int], Served]


def collect(
    cells: Sequence[Cell], splits: Sequence[Split], methods: Sequence[str], served: dict[tuple[str, int], Served]
) -> Findings:
    """Gather the cells by table. A table that lacks a cell is left out.

    Where ours failed, its error is that of the trivial answer: a table that we cannot fit stays in every ratio.
    """
    by_place = {(cell.table, cell.split, cell.method): cell for cell in cells}
    tables, rows = {}, {}
    for source in dict.fromkeys(split.source for split in splits):
        numbers = [split.number for split in splits if split.source == source]
        if all((source.name, number, method) in by_place for number in numbers for method in methods):
            measured = _measured(source, numbers, methods, by_place)
            if measured is not None:
                tables[source.name] = measured
    for split in splits:
        rows[split.source.name] = split.rows
    times = {place: each for place, each in served.items() if place[0] in tables}
    return Findings(tables, methods, [cell for cell in cells if cell.table in tables], rows, times)


def _measured(
    source: Source, numbers: Sequence[int], methods: Sequence[str], cells: dict[tuple[str, int, str], Cell]
) -> Measured | None:
    trivial = []
    for number in numbers:
        done = [cell for method in methods if (cell := cells[source.name, number, method]).status == "done"]
        if not done:
            return None
        trivial.append(done[0].scores["trivial"])
    errors = {method: np.array([cells[source.name, number, method].error for number in numbers]) for method in methods}
    if OURS in errors:
        errors[OURS] = np.where(np.isfinite(errors[OURS]), errors[OURS], trivial)
    return Measured(source.task != "regression", errors, np.array(trivial))

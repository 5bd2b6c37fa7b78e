"""All that was measured, gathered by table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.tables.cells import Cell
from benchmarks.tables.methods.ours import NAME as OURS
from benchmarks.tables.report.compare import Measured
from benchmarks.tables.served import Served
from benchmarks.tables.sources import Source
from benchmarks.tables.splits import Split


@dataclass(frozen=True)
class Findings:
    """All that was measured.

    Attributes:
        tables: The errors, by table, of the tables that every method has cells for.
        methods: The methods that took part, ours first.
        cells: The cells of these tables.
        rows: The rows of each table.
        served: The times of answers, by table and split.
        left_out: Why a table is left out, by table.
        failed: The cells of failed fits, also of the tables that are left out.
    """

    tables: Mapping[str, Measured]
    methods: Sequence[str]
    cells: Sequence[Cell]
    rows: Mapping[str, int]
    served: Mapping[tuple[str, int], Served]
    left_out: Mapping[str, str] = field(default_factory=dict)
    failed: Sequence[Cell] = ()

    def of(self, table: str, method: str) -> list[Cell]:
        """The cells of one method on one table, by split."""
        return [cell for cell in self.cells if (cell.table, cell.method) == (table, method)]


def collect(
    cells: Sequence[Cell], splits: Sequence[Split], methods: Sequence[str], served: dict[tuple[str, int], Served]
) -> Findings:
    """Gather the cells by table. A table that lacks a cell is left out.

    Where ours failed, its error is that of the trivial answer: a table that we cannot fit stays in every ratio.
    """
    by_place = {(cell.table, cell.split, cell.method): cell for cell in cells}
    tables, rows, left_out = {}, {}, {}
    for source in dict.fromkeys(split.source for split in splits):
        numbers = [split.number for split in splits if split.source == source]
        lacking = [
            method for method in methods if not all((source.name, number, method) in by_place for number in numbers)
        ]
        measured = None if lacking else _measured(source, numbers, methods, by_place)
        if measured is not None:
            tables[source.name] = measured
        else:
            left_out[source.name] = f"no cells of {', '.join(lacking)}" if lacking else "no fit of a split ended well"
    for split in splits:
        rows[split.source.name] = split.rows
    return Findings(
        tables,
        methods,
        [cell for cell in cells if cell.table in tables],
        rows,
        {place: each for place, each in served.items() if place[0] in tables},
        left_out,
        [cell for cell in cells if cell.status == "failed"],
    )


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

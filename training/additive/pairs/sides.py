"""Which functions of a column a pair multiplies: its tilt and its smoothest bends, or the lines of its words."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import torch

from training.additive.rows import TermRows
from training.additive.terms import Side

# With 4 the RMSE was 1.3 % larger on five tables of the choosing half of benchmarks/tables (two splits each).
_BENDS = 6
# The words that most rows differ by; the others act as one word.
_MOST_WORDS = 16


def sides_of(
    rows: TermRows, names: Sequence[str | None], columns: Mapping[str, str] = MappingProxyType({})
) -> list[Side]:
    """The sides of all columns that vary, in the order of the inputs.

    Args:
        rows: The rows, seen by terms without pairs.
        names: For each input of the network the name of its column. Inputs with the same name are words of one column;
            one without a name, which tells of missing cells, is in no pair.
        columns: The columns of names that are no column: of the numbers of a date.
    """
    terms, found = rows.terms, list[Side]()
    for name in dict.fromkeys(each for each in names if each is not None):
        inputs = [place for place, each in enumerate(names) if each == name]
        curves = [place for place in inputs if place in terms.curves]
        lines = [place for place in inputs if place in terms.lines]
        if curves:
            found.append(_measured(rows, _curve_side(rows, name, columns.get(name, name), curves[0])))
        elif lines:
            found.append(_measured(rows, _line_side(rows, name, columns.get(name, name), lines)))
    return found


def _curve_side(rows: TermRows, name: str, column: str, input_: int) -> Side:
    terms, place = rows.terms, rows.terms.curves.index(input_)
    bends = terms.functions - 2
    first = 1 + len(terms.curves) + len(terms.lines) + place * bends
    return Side(name, column, (input_,), (1 + place,), tuple(range(first, first + min(_BENDS, bends))), ())


def _line_side(rows: TermRows, name: str, column: str, lines: list[int]) -> Side:
    places = [rows.terms.lines.index(each) for each in lines]
    spread = rows.lines[:, places].var(dim=0, correction=0)
    most = torch.argsort(-spread, stable=True)[:_MOST_WORDS].sort().values.tolist()
    tilts = tuple(1 + len(rows.terms.curves) + places[each] for each in most)
    return Side(name, column, tuple(lines[each] for each in most), tilts, (), ())


def _measured(rows: TermRows, side: Side) -> Side:
    sizes = rows.functions(side).square().mean(dim=0).sqrt().tolist()
    return replace(side, sizes=tuple(sizes))

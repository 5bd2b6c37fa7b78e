"""Predictions as text, one line a row: a table for people, CSV or JSON lines. Lines are made as rows arrive."""

import csv
import io
import itertools
import json
import math
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Literal

import numpy as np

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from service.client.answers import BOUNDS, Prediction
from service.client.errors import INTERRUPTIONS

Style = Literal["table", "csv", "json"]
# A number of an answer is np.float32. A label is None if the model answered NaN. All cells of an answer are None if the
# row has no answer. A cell that is kept from the file is text, or of one of JSON's types.
Cell = object

_ALIGNED_ROWS = 1000
_PLAIN = (np.float32, str)


def column_names(manifest: ModelManifest, all_probabilities: bool, has_sets: bool = False) -> list[str]:
    """The names of the columns that `cells` gives."""
    target = manifest.target or "prediction"
    if manifest.task != TASK_CLASSIFICATION:
        has_bounds = {output.name for output in manifest.outputs}.issuperset(BOUNDS)
        names = value_names(manifest)
        return names + [f"{name}_{bound}" for name in names for bound in BOUNDS if has_bounds]
    shown = [f"probability_{name}" for name in manifest.classes] if all_probabilities else ["probability"]
    return [target, *shown, *([f"{target}_set"] if has_sets else [])]


def value_names(manifest: ModelManifest) -> list[str]:
    """The names of the values that a regression answers, without their bounds."""
    target = manifest.target or "prediction"
    width = int(manifest.outputs[0].shape[-1]) if manifest.outputs else 1
    several = [f"{target}_{place}" for place in range(width)]
    return list(manifest.targets) or ([target] if width <= 1 else several)


def cells(prediction: Prediction, all_probabilities: bool, has_sets: bool = False) -> Iterator[Sequence[Cell]]:
    """The cells of each row.

    Of a regression the values, then their bounds; of classes the label, probabilities, and a list of the set's classes.
    """
    if prediction.labels is None:
        if (bounds := prediction.bounds) is None:
            yield from prediction.values
            return
        # The lower and the upper bound of the first value, then those of the next.
        yield from np.concatenate([prediction.values, np.stack(bounds, axis=2).reshape(len(bounds[0]), -1)], axis=1)
        return
    sets: Iterable[Sequence[Cell]] = itertools.repeat((), len(prediction.labels))
    if has_sets and prediction.sets is not None:
        sets = ([None if each is None else list(each)] for each in prediction.sets)
    for label, probabilities, last in zip(prediction.labels, prediction.values, sets, strict=True):
        yield (label, *probabilities, *last) if all_probabilities else (label, probabilities.max(), *last)


def cells_of_all_rows(
    answers: Iterator[Sequence[Cell]],
    width: int,
    unanswered: Container[int],
    kept: Sequence[Sequence[object]],
    rows: int,
) -> Iterator[Sequence[Cell]]:
    """The cells of each row of a block, with kept columns before the answer.

    Args:
        answers: the cells of the rows that have an answer, in order.
        width: number of cells of an answer.
        unanswered: the numbers of the rows without an answer: their answer is empty.
        kept: the cells of each column that is kept.
        rows: number of rows of the block.
    """
    if not kept and not unanswered:
        yield from answers
        return
    nothing = (None,) * width
    for row, keys in enumerate(zip(*kept, strict=True) if kept else itertools.repeat((), rows)):
        yield (*keys, *(nothing if row in unanswered else next(answers)))


def lines(style: Style, names: Sequence[str], rows: Iterable[Sequence[Cell]], skipped: int = 0) -> Iterator[str]:
    r"""The rows as lines of text, each with its "\n".

    Args:
        style: the format of the lines.
        names: the names of the columns.
        rows: the cells of each row. They are read lazily, at most a thousand rows ahead.
        skipped: rows of the file before these, whose lines stand elsewhere already, with CSV's header.
    """
    forms: dict[Style, Callable[[Sequence[str], Iterable[Sequence[Cell]], int], Iterator[str]]] = {
        "table": _table_lines,
        "csv": _csv_lines,
        "json": _json_lines,
    }
    return forms[style](names, rows, skipped)


def header_lines(style: Style, skipped: int) -> int:
    """How many lines before the rows `lines` gives."""
    return {"table": 1, "csv": 0 if skipped else 1, "json": 0}[style]


def table_lines(names: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    """Aligned columns, as wide as the first thousand rows need.

    Args:
        names: the headers of the columns.
        rows: the words of each row.
        right: for each column, whether it is aligned to the right.
    """
    rest: Iterator[Sequence[str]] = iter(rows)
    end = None
    first: list[Sequence[str]] = []
    try:
        first.extend(itertools.islice(rest, _ALIGNED_ROWS))
    except INTERRUPTIONS as interruption:  # what is answered is printed
        rest, end = iter(()), interruption
    widths = [max(map(len, column)) for column in zip(names, *first, strict=True)]
    for row in itertools.chain([names], first, rest):
        words = (word.rjust(w) if r else word.ljust(w) for word, w, r in zip(row, widths, right, strict=True))
        yield "  ".join(words).rstrip() + "\n"
    if end is not None:
        raise end


def _table_lines(names: Sequence[str], rows: Iterable[Sequence[Cell]], skipped: int) -> Iterator[str]:
    words = ([str(number), *(_short(cell) for cell in row)] for number, row in enumerate(rows, start=1 + skipped))
    yield from table_lines(["row", *names], words, [True] * (1 + len(names)))


def _csv_lines(names: Sequence[str], rows: Iterable[Sequence[Cell]], skipped: int) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    rest = iter(rows)
    # The header waits for the first row, so that wrong input prints nothing.
    first = list(itertools.islice(rest, 1))
    for row in itertools.chain([] if skipped else [names], first, rest):
        writer.writerow(map(_text, row))
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _json_lines(names: Sequence[str], rows: Iterable[Sequence[Cell]], _skipped: int) -> Iterator[str]:
    for row in rows:
        record = dict(zip(names, map(_json_value, row), strict=True))
        yield json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _text(cell: Cell) -> str:
    """A cell in CSV."""
    if isinstance(cell, _PLAIN):
        # str() of a float32 is the shortest text that parses to the same number.
        return str(cell)
    return "" if cell is None else json.dumps(cell, ensure_ascii=False)


def _short(cell: Cell) -> str:
    """A cell in a table for people: on one line."""
    if isinstance(cell, np.float32):
        return f"{cell:.6g}"
    return "?" if cell is None else " ".join(_text(cell).split())


def _json_value(cell: Cell) -> object:
    """A cell in JSON, which has no NaN and no infinity."""
    if isinstance(cell, np.float32):
        return float(str(cell)) if np.isfinite(cell) else None
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None
    if isinstance(cell, dict):
        return {name: _json_value(part) for name, part in cell.items()}
    return [_json_value(part) for part in cell] if isinstance(cell, list) else cell

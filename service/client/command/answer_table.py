"""Predictions as lines of text: a table for people, CSV, or JSON lines; one line a row, as the rows come."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import numpy as np

from kan_api.v1.manifest_pb2 import TASK_CLASSIFICATION, ModelManifest
from service.client.answers import Prediction

Style = Literal["table", "csv", "json"]
# A label is None where the model answered NaN.
Cell = str | np.float32 | None

_ALIGNED_ROWS = 1000


def column_names(manifest: ModelManifest, all_probabilities: bool) -> list[str]:
    """What the columns of `cells` are called."""
    target = manifest.target or "prediction"
    if manifest.task != TASK_CLASSIFICATION:
        width = int(manifest.outputs[0].shape[-1]) if manifest.outputs else 1
        return [target] if width <= 1 else [f"{target}_{place}" for place in range(width)]
    if all_probabilities:
        return [target, *(f"probability_{name}" for name in manifest.classes)]
    return [target, "probability"]


def cells(prediction: Prediction, all_probabilities: bool) -> Iterator[Sequence[Cell]]:
    """One row of cells a prediction: the value; or the label and its probability, or all probabilities."""
    if prediction.labels is None:
        yield from prediction.values
        return
    for label, probabilities in zip(prediction.labels, prediction.values, strict=True):
        yield (label, *probabilities) if all_probabilities else (label, probabilities.max())


def lines(style: Style, names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The rows as text, each line with its end.

    Args:
        style: which form.
        names: the names of the columns.
        rows: cells; taken as they are needed, a thousand ahead at most.
    """
    forms: dict[Style, Callable[[Sequence[str], Iterable[Sequence[Cell]]], Iterator[str]]] = {
        "table": _table_lines,
        "csv": _csv_lines,
        "json": _json_lines,
    }
    return forms[style](names, rows)


def table_lines(names: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    """Words in columns that are as wide as the first thousand rows need.

    Args:
        names: the heads of the columns.
        rows: the words.
        right: which columns end, rather than begin, below each other.
    """
    rest = iter(rows)
    first = list(itertools.islice(rest, _ALIGNED_ROWS))
    widths = [max(map(len, column)) for column in zip(names, *first, strict=True)]
    for row in itertools.chain([names], first, rest):
        words = (word.rjust(w) if r else word.ljust(w) for word, w, r in zip(row, widths, right, strict=True))
        yield "  ".join(words).rstrip() + "\n"


def _table_lines(names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    words = ([str(number), *(_short(cell) for cell in row)] for number, row in enumerate(rows, start=1))
    yield from table_lines(["row", *names], words, [True] * (1 + len(names)))


def _csv_lines(names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    rest = iter(rows)
    # Not even the header comes before the first row has: wrong input should leave nothing behind.
    first = list(itertools.islice(rest, 1))
    for row in itertools.chain([names], first, rest):
        # str() of a float32 is the shortest text that reads back as the same number.
        writer.writerow(["" if cell is None else str(cell) for cell in row])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _json_lines(names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    for row in rows:
        record = dict(zip(names, map(_json_value, row), strict=True))
        yield json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"


def _short(cell: Cell) -> str:
    if cell is None:
        return "?"
    return cell if isinstance(cell, str) else f"{cell:.6g}"


def _json_value(cell: Cell) -> str | float | None:
    if cell is None or isinstance(cell, str):
        return cell
    return float(str(cell)) if np.isfinite(cell) else None

"""Predictions as text, one line a row: a table for people, CSV or JSON lines. Lines are made as rows arrive."""

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
    """The names of the columns that `cells` gives."""
    target = manifest.target or "prediction"
    if manifest.targets:
        return list(manifest.targets)
    if manifest.task != TASK_CLASSIFICATION:
        width = int(manifest.outputs[0].shape[-1]) if manifest.outputs else 1
        return [target] if width <= 1 else [f"{target}_{place}" for place in range(width)]
    if all_probabilities:
        return [target, *(f"probability_{name}" for name in manifest.classes)]
    return [target, "probability"]


def cells(prediction: Prediction, all_probabilities: bool) -> Iterator[Sequence[Cell]]:
    """The cells of each row: for regression the values; for classes the label and one or all probabilities."""
    if prediction.labels is None:
        yield from prediction.values
        return
    for label, probabilities in zip(prediction.labels, prediction.values, strict=True):
        yield (label, *probabilities) if all_probabilities else (label, probabilities.max())


def lines(style: Style, names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    r"""The rows as lines of text, each with its "\n".

    Args:
        style: the format of the lines.
        names: the names of the columns.
        rows: the cells of each row. They are read lazily, at most a thousand rows ahead.
    """
    forms: dict[Style, Callable[[Sequence[str], Iterable[Sequence[Cell]]], Iterator[str]]] = {
        "table": _table_lines,
        "csv": _csv_lines,
        "json": _json_lines,
    }
    return forms[style](names, rows)


def table_lines(names: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    """Aligned columns, as wide as the first thousand rows need.

    Args:
        names: the headers of the columns.
        rows: the words of each row.
        right: for each column, whether it is aligned to the right.
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
    # The header waits for the first row, so that wrong input prints nothing.
    first = list(itertools.islice(rest, 1))
    for row in itertools.chain([names], first, rest):
        # str() of a float32 is the shortest text that parses to the same number.
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

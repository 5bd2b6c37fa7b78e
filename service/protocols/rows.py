"""Rows as numbers, whatever message they came in: the checks of shape, bytes and values that both protocols share."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kan_api.cells import quoted
from kan_api.v1.manifest_pb2 import ModelManifest
from service.errors import InvalidRequest
from service.registry.model.live_model import LiveModel

Rows = NDArray[np.float32]

# On the wire; the machine's own float32 where that is little-endian.
FLOAT32 = np.dtype("<f4")

_NAMES_SHOWN = 5


def check_shape(where: str, rows: int, columns: int, model: LiveModel, max_request_rows: int) -> None:
    """Refuse a shape by its numbers alone, before anything of that size is made."""
    if columns != model.features:
        hint = _hint_of_words(model.manifest)
        raise InvalidRequest(f"{where} has {columns} columns; model {model.name!r} wants {model.features}{hint}")
    most_rows = min(max_request_rows, model.limits.request_rows)
    if not 1 <= rows <= most_rows:
        raise InvalidRequest(f"{where} has {rows} rows; wanted 1 to {most_rows}")


def _hint_of_words(manifest: ModelManifest) -> str:
    """What to do about a model whose rows are not numbers alone; "" where they are."""
    names = [
        quoted(each.name)
        for each in manifest.columns
        if each.categories or each.HasField("statistics") or each.HasField("date")
    ]
    if not names:
        return ""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return (
        f"; its columns of words or dates ({', '.join(names[:_NAMES_SHOWN])}{more}) are encoded as numbers: give "
        "Client rows as dicts by column name, or encode them as the manifest says"
    )


def from_raw(where: str, raw: bytes, dtype: np.dtype[Any], rows: int, columns: int) -> NDArray[Any]:
    """Numbers [rows, columns] from bytes, not copied."""
    wanted = rows * columns * dtype.itemsize
    if len(raw) != wanted:
        raise InvalidRequest(
            f"{where}: {len(raw)} bytes came; wanted {wanted} ({rows} rows of {columns}, {dtype.itemsize} bytes each)"
        )
    return np.frombuffer(raw, dtype).reshape(rows, columns)


def to_finite_rows(where: str, numbers: NDArray[Any], model: LiveModel) -> Rows:
    """The numbers as float32; refused where one is infinite, does not fit, or is NaN and not imputed."""
    rows: Rows = numbers if numbers.dtype == np.float32 else _narrow(numbers)
    finite = np.isfinite(rows)
    if b"\0" not in finite.tobytes():  # a quarter of the time of finite.all()
        return rows
    bad = ~finite & ~(np.isnan(rows) & model.imputes)
    if bad.any():
        row, column = (int(index) for index in np.argwhere(bad)[0])
        name = model.manifest.features[column].name
        wanted = "a finite float32, or NaN for a missing value" if model.imputes[column] else "a finite float32"
        raise InvalidRequest(
            f"{where}: row {row}, column {column} ({name!r}) is {numbers[row, column]}; wanted {wanted}"
        )
    return rows


def to_raw(values: NDArray[Any]) -> bytes:
    """Little-endian float32 bytes in row-major order."""
    return values.astype(FLOAT32, copy=False).tobytes()


def _narrow(numbers: NDArray[Any]) -> Rows:
    """Numbers of another type as float32, infinite where they are too large for it."""
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)

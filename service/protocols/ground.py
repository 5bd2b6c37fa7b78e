"""Rows on unknown ground: told where asked, refused where the model refuses them. Both protocols share it."""

import asyncio

import numpy as np
from numpy.typing import NDArray

from kan_api.ground import KnownGround, look
from kan_api.ground_text import show_cell
from kan_api.v1.prediction_pb2 import Ground
from service.errors import InvalidRequest
from service.protocols.rows import Rows
from service.registry.model.live_model import LiveModel

# Looking at more numbers takes longer than the event loop allows a run: 1.3 ms for 2^18, 21 ms for a message of 16 MiB.
_INLINE_NUMBERS = 2**18
# Of a refusal: most cells, and about the most characters that they take.
_MOST_CELLS = 10
_MOST_CHARACTERS = 300


async def look_at(where: str, rows: Rows, model: LiveModel, *, asked: bool) -> Ground | None:
    """Compare the rows of a request with the training rows of a model.

    Args:
        where: The field that the rows came in, for messages.
        rows: float32 [rows, features], as the codec gave them.
        model: Is to answer.
        asked: Whether the request wants to know its unknown cells.

    Returns:
        What the answer tells; None if it tells nothing.

    Raises:
        InvalidRequest: A cell is unknown, and the model's policy is "refuse".
    """
    policy = model.ground
    if not (asked or policy.flags or policy.refuses):
        return None
    if rows.size <= _INLINE_NUMBERS:
        ground = look(policy.known, rows)
    else:
        ground = await asyncio.to_thread(look, policy.known, rows)
    if policy.refuses and policy.known is not None and ground.unknown_cells:
        raise InvalidRequest(_refusal(where, len(rows), ground, policy.known))
    return ground if asked or policy.flags else None


async def unknown_cells(rows: Rows, known: KnownGround) -> NDArray[np.bool_]:
    """Which cells of the rows of a request are unknown, bool [rows, columns]."""
    return known.unknown(rows) if rows.size <= _INLINE_NUMBERS else await asyncio.to_thread(known.unknown, rows)


def _refusal(where: str, rows: int, ground: Ground, known: KnownGround) -> str:
    """Names the first unknown cells, at least one, with their ranges."""
    told: list[str] = []
    for cell in ground.cells[:_MOST_CELLS]:
        text = show_cell(known, known.columns.index(cell.column), cell.reason, cell.value)
        if told and len(text) + sum(map(len, told)) > _MOST_CHARACTERS:
            break
        told.append(f"row {cell.row}, {text}")
    rest = ground.unknown_cells - len(told)
    told += [f"{rest} more {'cell' if rest == 1 else 'cells'}"] * (rest > 0)
    lies = "lies" if ground.unknown_rows == 1 else "lie"
    return (
        f"{where}: {ground.unknown_rows} of {rows} rows {lies} on unknown ground, which this model refuses: "
        f"{'; '.join(told)}"
    )

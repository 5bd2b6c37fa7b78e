"""The contributions of the columns to the answers to some rows, whatever protocol asks for them."""

import asyncio
from dataclasses import dataclass

import numpy as np

from service.batching.request import Follower, Result
from service.errors import AnswerTooLarge, InvalidRequest, NotPublished
from service.protocols.rows import Rows
from service.registry.model.attribution import Attribution, tune_command
from service.registry.model.live_model import LiveModel

# Copies of more numbers are made in a thread, since they would delay every other request: 1 MiB takes about 0.2 ms.
INLINE_NUMBERS = 2**18


@dataclass(frozen=True, slots=True)
class Explained:
    """The explanation of the answers to some rows. The contributions of a row add up to explained - baseline.

    Attributes:
        contributions: float32 [rows, outputs, columns].
        explained: float32 [rows, outputs]: the answers, or the scores of classes before the softmax.
        baseline: float32 [rows, outputs]: the same of each row's reference row.
        shares_reference: Whether all rows have the same reference row.
        result: Has the times.
    """

    contributions: Rows
    explained: Rows
    baseline: Rows
    shares_reference: bool
    result: Result


def attribution_of(model: LiveModel) -> Attribution:
    """What gives the contributions of a version.

    Raises:
        NotPublished: The version has none.
    """
    if model.attribution is None:
        raise NotPublished(
            f"model {model.name!r} version {model.version} has no attribution.onnx, so its answers cannot be "
            f"explained; {tune_command(model.manifest)}"
        )
    return model.attribution


async def explain(
    model: LiveModel,
    rows: Rows,
    reference: Rows | None,
    deadline: float | None,
    *,
    bulk: bool,
    follower: Follower | None,
) -> Explained:
    """Compute the contributions, together with other callers.

    Args:
        model: Its attribution.onnx is opened by the first call.
        rows: float32 [rows, features].
        reference: float32 [1 or rows, features]; None takes the reference row of the manifest.
        deadline: On the clock of `time.monotonic`, or None.
        bulk: Whether others go first.
        follower: Is told of the request's way.

    Raises:
        NotPublished: The version has no attribution.onnx, or it cannot be used.
        InvalidRequest: The number of reference rows does not fit.
        AnswerTooLarge: The contributions would not fit into one message; says how many rows do.
        ServiceError: As Attribution.submit.
    """
    attribution = attribution_of(model)
    if len(rows) > attribution.most_request_rows:
        outputs, columns = len(attribution.outputs), len(attribution.columns)
        most = attribution.most_request_rows
        raise AnswerTooLarge(
            f"{len(rows)} rows have {len(rows) * outputs * columns} contributions ({outputs} outputs, {columns} "
            f"columns), more than max_message_bytes allows; "
            + (f"send at most {most} rows at a time" if most else "not even those of one row fit; raise it")
        )
    if reference is None:
        reference = attribution.reference
    elif len(reference) not in (1, len(rows)):
        wanted = "1" if len(rows) == 1 else f"1 or {len(rows)}, as features has"
        raise InvalidRequest(f"reference has {len(reference)} rows; wanted {wanted}")
    if rows.size <= INLINE_NUMBERS:
        beside = _side_by_side(rows, reference)
    else:
        beside = await asyncio.to_thread(_side_by_side, rows, reference)
    submit = model.submit_for_attribution or attribution.submit
    result = await submit(beside, deadline, bulk=bulk, follower=follower)
    contributions, explained, baseline = result.outputs
    return Explained(contributions, explained, baseline, len(reference) == 1, result)


def _side_by_side(rows: Rows, reference: Rows) -> Rows:
    """Rows and their reference rows, float32 [rows, 2 * features]."""
    # broadcast_to costs more than all else here, so a single row goes without.
    beside = reference if len(reference) == len(rows) else np.broadcast_to(reference, rows.shape)
    return np.concatenate((rows, beside), axis=1)

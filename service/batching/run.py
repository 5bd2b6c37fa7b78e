"""One run of a batch: its outputs, or the error in place of them."""

from collections.abc import Callable, Sequence

import numpy as np

from service.batching.request import Outputs, Rows


def attempt(run: Callable[[Rows], Outputs], blocks: Sequence[Rows]) -> Outputs | Exception:
    """Outputs of one run over all blocks, or what went wrong in it; may be called in a thread."""
    try:
        rows = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        return _check_lengths(run(rows), len(rows))
    except Exception as error:
        return error


def refuse_closed(rows: Rows) -> Outputs:
    """The run of a batcher that is closed: it fails."""
    raise RuntimeError(f"{len(rows)} rows for a batcher that is closed")


def _check_lengths(outputs: Outputs, rows: int) -> Outputs:
    """Return the outputs unchanged, if they can be split.

    Raises:
        ValueError: an output has another number of rows than the run.
    """
    for output in outputs:
        if len(output) != rows:
            raise ValueError(f"the model gave {len(output)} rows for {rows}")
    return outputs

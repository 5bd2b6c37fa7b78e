"""Times of a forward pass in onnxruntime, side by side."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnx

from benchmarks.common.sessions import open_session
from benchmarks.common.timing import interleave
from benchmarks.paper.language.graph import INPUT

# Sequences and tokens of each.
BATCHES = ((1, 1), (1, 64), (16, 64))


def forward_seconds(models: Sequence[onnx.ModelProto], vocabulary: int, seconds: float = 1.0) -> list[list[float]]:
    """Processor seconds of a run, the smallest of many: for each batch of `BATCHES` one for each model.

    Args:
        models: Graphs that read tokens.
        vocabulary: Number of characters.
        seconds: Time to measure each batch.
    """
    sessions = [open_session(model.SerializeToString()) for model in models]
    found = []
    for sequences, length in BATCHES:
        tokens = np.random.default_rng(0).integers(0, vocabulary, (sequences, length))
        calls: list[Callable[[], object]] = [partial(each.run, None, {INPUT: tokens}) for each in sessions]
        found.append([timing.minimum for timing in interleave(calls, seconds, 5)])
    return found

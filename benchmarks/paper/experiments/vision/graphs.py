"""The lowered graph of a network on images beside torch.onnx's export of the same network."""

import logging
import warnings
from functools import partial

import numpy as np
import onnx
import torch

from benchmarks.common.timing import interleave
from benchmarks.paper.experiments.vision.networks import PIXELS
from kan_model.lowering.driver import STRATEGIES
from kan_model.lowering.images import lower_image
from kan_model.onnx_runtime import open_session, run
from kan_model.vision.image_kan import ImageKAN

ROWS = (1, 32)
_QUICKLY = STRATEGIES[:2]


def compare_graphs(image: ImageKAN, is_quick: bool) -> dict[str, float]:
    """Microseconds of a run by each graph, and the largest difference of the two graphs' answers.

    Args:
        image: The network.
        is_quick: One number of rows, and two strategies.
    """
    ours = (
        lower_image(image, tune_for=(), strategies=_QUICKLY) if is_quick else lower_image(image, tune_for=ROWS)
    ).model
    seconds = 0.1 if is_quick else 2.5
    found: dict[str, float] = {}
    for count in ROWS[:1] if is_quick else ROWS:
        theirs = exported(image, count)
        rows = np.random.default_rng(0).uniform(*PIXELS, (count, image.features)).astype(np.float32)
        found[f"graphs differ by, {count} rows"] = float(np.abs(run(ours, rows) - run(theirs, rows)).max())
        calls = [partial(open_session(model).run, rows) for model in (ours, theirs)]
        for name, timing in zip(("ours", "torch"), interleave(calls, seconds, 3), strict=True):
            found[f"{name} µs, {count} rows"] = 1e6 * timing.minimum
    return found


def exported(image: ImageKAN, rows: int) -> onnx.ModelProto:
    """The network as torch.onnx writes it, for this number of rows: fixed shapes give the faster graph."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            image.eval(),
            (torch.zeros(rows, image.features),),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto
